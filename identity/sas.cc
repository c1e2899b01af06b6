// SPDX-License-Identifier: Apache-2.0
#include "identity/sas.h"

#include <chrono>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"

namespace trunkline::identity {

std::string signature(std::string_view encoded_resource, const Secret& key, std::int64_t expiry_seconds) {
  std::string message(encoded_resource);
  message += '\n';
  message += std::to_string(expiry_seconds);
  return base64_encode(hmac_sha256(key.reveal(), message));
}

Secret sign_token(std::string_view resource, const Secret& key, WallTime expires, std::string_view policy) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(expires).time_since_epoch().count();
  // The signature covers the encoded form, byte for byte as it is sent.
  const auto encoded = percent_encode(resource);
  std::string token = "SharedAccessSignature sr=" + encoded;
  token += "&sig=" + percent_encode(signature(encoded, key, seconds));
  token += "&se=" + std::to_string(seconds);
  if (!policy.empty()) token += "&skn=" + percent_encode(policy);
  return Secret(std::move(token));
}

}  // namespace trunkline::identity
