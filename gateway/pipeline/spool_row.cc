// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_row.h"

#include <cstdint>

namespace trunkline {
namespace {

constexpr char kVersion = 1;

void put(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 0xFF);
  out += text;
}

bool get(std::string_view& in, std::string& text) {
  if (in.size() < 4) return false;
  std::uint32_t size = 0;
  for (unsigned i = 0; i < 4; ++i) size |= static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  in.remove_prefix(4);
  if (in.size() < size) return false;
  text.assign(in.substr(0, size));
  in.remove_prefix(size);
  return true;
}

}  // namespace

std::string encode_head(const Telemetry& telemetry) {
  std::string out(1, kVersion);
  put(out, telemetry.content_type);
  put(out, telemetry.content_encoding);
  put(out, telemetry.source_key);
  for (const auto& property : telemetry.properties) {
    put(out, property.name);
    put(out, property.value);
  }
  return out;
}

std::optional<Telemetry> decode_head(const DeviceId& device, std::string_view blob) {
  if (blob.empty() || blob.front() != kVersion) return std::nullopt;
  blob.remove_prefix(1);
  Telemetry out{device, {}, {}, {}, {}, {}, Source::mqtt};
  if (!get(blob, out.content_type) || !get(blob, out.content_encoding) || !get(blob, out.source_key))
    return std::nullopt;
  while (!blob.empty()) {
    Property property;
    if (!get(blob, property.name) || !get(blob, property.value)) return std::nullopt;
    out.properties.push_back(std::move(property));
  }
  return out;
}

}  // namespace trunkline
