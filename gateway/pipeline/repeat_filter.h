// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "gateway/base/clock.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/core/message.h"

namespace trunkline {

// Knows the source keys (Telemetry::source_key) of a device's last messages, so that what the source says twice is
// taken once: a CoAP message id with its token, a sequence number of a TCP protocol. A window in time and number,
// because keys come round again: 247 s is how long a CoAP message id means the same message (RFC 7252 section 4.8.2,
// EXCHANGE_LIFETIME). In memory only. Pure; owned by Intake, under its lock.
class RepeatFilter {
 public:
  static constexpr Milliseconds kWindow{247'000};
  static constexpr std::size_t kPerDevice = 512;  // what a device may resend after a lost connection
  static constexpr std::size_t kInAll = 200'000;

  // The message that carried this key already, or nothing.
  [[nodiscard]] std::optional<Position> find(const Telemetry& telemetry, SteadyTime now) {
    if (telemetry.source_key.empty()) return std::nullopt;
    const auto found = devices_.find(telemetry.device);
    if (found == devices_.end()) return std::nullopt;
    auto& seen = found->second;
    while (!seen.order.empty() && now - seen.order.front().at > kWindow) forget_first(seen);
    const auto same = seen.keys.find(name_of(telemetry));
    return same == seen.keys.end() ? std::nullopt : std::optional(same->second);
  }

  void remember(const Telemetry& telemetry, Position position, SteadyTime now) {
    if (telemetry.source_key.empty()) return;
    auto& seen = devices_[telemetry.device];
    if (seen.order.size() >= kPerDevice || (all_ >= kInAll && !seen.order.empty())) forget_first(seen);
    if (all_ >= kInAll) return;
    const auto [place, fresh] = seen.keys.insert_or_assign(name_of(telemetry), position);
    seen.order.push_back({place->first, position, now});
    ++all_;
  }

 private:
  struct Named {
    std::string name;
    Position position;
    SteadyTime at;
  };
  struct Seen {
    std::unordered_map<std::string, Position> keys;
    LazyQueue<Named> order;
  };
  static std::string name_of(const Telemetry& telemetry) {
    return static_cast<char>(telemetry.source) + telemetry.source_key;
  }
  void forget_first(Seen& seen) {
    const auto key = seen.keys.find(seen.order.front().name);
    // The same key may have come again since.
    if (key != seen.keys.end() && key->second == seen.order.front().position) seen.keys.erase(key);
    seen.order.pop_front();
    --all_;
  }
  std::unordered_map<DeviceId, Seen> devices_;
  std::size_t all_ = 0;
};

}  // namespace trunkline
