// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "gateway/base/clock.h"
#include "gateway/core/message.h"

namespace trunkline {

// Knows the source keys of a device's last messages, so that what the source says twice is taken once. A window in time
// and number, because keys come round again: 247 s is how long a CoAP message id means the same message (RFC 7252
// section 4.8.2, EXCHANGE_LIFETIME). In memory only. Pure; owned by Intake, under its lock.
class RepeatFilter {
 public:
  static constexpr Milliseconds kWindow{247'000};
  static constexpr std::size_t kPerDevice = 64;
  static constexpr std::size_t kDevices = 10'000;

  // The message that carried this key already, or nothing.
  [[nodiscard]] std::optional<Position> find(const Telemetry& telemetry, SteadyTime now) {
    if (telemetry.source_key.empty()) return std::nullopt;
    const auto found = devices_.find(telemetry.device);
    if (found == devices_.end()) return std::nullopt;
    auto& seen = found->second;
    while (!seen.empty() && now - seen.front().at > kWindow) seen.pop_front();
    const auto same = std::find_if(seen.begin(), seen.end(), [&telemetry](const Seen& one) {
      return one.source == telemetry.source && one.key == telemetry.source_key;
    });
    return same == seen.end() ? std::nullopt : std::optional(same->position);
  }

  void remember(const Telemetry& telemetry, Position position, SteadyTime now) {
    if (telemetry.source_key.empty()) return;
    if (devices_.size() >= kDevices && !devices_.contains(telemetry.device)) return;
    auto& seen = devices_[telemetry.device];
    if (seen.size() >= kPerDevice) seen.pop_front();
    seen.push_back({telemetry.source_key, position, now, telemetry.source});
  }

 private:
  struct Seen {
    std::string key;
    Position position;
    SteadyTime at;
    Source source;
  };
  std::unordered_map<DeviceId, std::deque<Seen>> devices_;
};

}  // namespace trunkline
