// SPDX-License-Identifier: Apache-2.0
#include "identity/key_text.h"

#include "gateway/base/encoding.h"

namespace trunkline::identity {
namespace {

constexpr std::size_t kMinKey = 16;
constexpr std::size_t kMaxKey = 256;
constexpr std::size_t kMaxPsk = 128;

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

}  // namespace

Result<Secret> decode_key(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::invalid, "the key is empty");
  if (text.size() > kMaxKey * 2) return fail(ErrorCode::invalid, "the key is longer than 256 bytes");
  auto bytes = base64_decode(text);
  if (!bytes) return fail(ErrorCode::invalid, "the key is " + bytes.error().message);
  Secret key(std::move(*bytes));
  if (key.reveal().size() < kMinKey) return fail(ErrorCode::invalid, "the key is shorter than 16 bytes");
  if (key.reveal().size() > kMaxKey) return fail(ErrorCode::invalid, "the key is longer than 256 bytes");
  return key;
}

Result<Secret> decode_psk(std::string_view text) {
  constexpr std::string_view kHex = "hex:";
  constexpr std::string_view kBase64 = "base64:";
  if (text.size() > kMaxPsk * 2 + kBase64.size()) {
    return fail(ErrorCode::invalid, "the pre-shared key is longer than 128 bytes");
  }
  auto bytes = starts_with(text, kHex)      ? hex_decode(text.substr(kHex.size()))
               : starts_with(text, kBase64) ? base64_decode(text.substr(kBase64.size()))
                                            : Result<std::string>(std::string(text));
  if (!bytes) return fail(ErrorCode::invalid, "the pre-shared key is " + bytes.error().message);
  Secret key(std::move(*bytes));
  if (key.empty()) return fail(ErrorCode::invalid, "the pre-shared key is empty");
  if (key.reveal().size() > kMaxPsk) return fail(ErrorCode::invalid, "the pre-shared key is longer than 128 bytes");
  return key;
}

}  // namespace trunkline::identity
