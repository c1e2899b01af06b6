// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/device_time.h"

#include <chrono>
#include <string>

#include "gateway/mapping/shaper.h"

namespace trunkline::coap {

std::optional<WallTime> device_time(const Request& request, const CoapTime& where) {
  if (where.option == 0) {
    const auto text = query_value(request, where.query);
    return text ? read_time(*text, where.rule) : std::nullopt;
  }
  const auto bytes = own_option(request, where.option);
  if (!bytes || bytes->size() > 8) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : *bytes) value = value << 8 | static_cast<unsigned char>(c);
  return read_time(std::to_string(value), where.rule);
}

std::optional<std::pair<unsigned, std::uint64_t>> time_for(const Request& request, const CoapTime& where,
                                                           WallTime now) {
  const auto asked = own_option(request, where.option);
  if (where.option == 0 || !asked || !asked->empty()) return std::nullopt;
  const bool seconds = where.rule.format == DeviceTime::Format::unix_seconds;
  const auto value = now.time_since_epoch().count() / (seconds ? 1000 : 1);
  return std::pair(where.option, static_cast<std::uint64_t>(value));
}

}  // namespace trunkline::coap
