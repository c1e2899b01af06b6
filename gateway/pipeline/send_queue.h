// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <optional>

#include "gateway/base/clock.h"
#include "gateway/core/priority.h"
#include "gateway/core/uplink.h"

namespace trunkline {

// Which device of a connection sends next. A device is in it at most once (the owner sees to that) and is put in again
// after each message, so devices of one class take turns. Classes are priority times "drains a backlog or not"; each
// has a delay, and the device whose listing time plus delay is the earliest goes first. So alarms pass the others and
// live data passes a backlog, but nothing waits for ever: what was listed long enough ago wins against any newer one.
class SendQueue {
 public:
  void push(DeviceSlot slot, Priority priority, bool backlog, SteadyTime now) {
    rings_[static_cast<std::size_t>(priority) * 2 + (backlog ? 1 : 0)].push_back({slot, now});
  }
  std::optional<DeviceSlot> pop() {
    std::deque<Listed>* best = nullptr;
    SteadyTime best_at = kNever;
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      if (rings_[i].empty()) continue;
      const auto at = rings_[i].front().at + kDelays[i];
      if (best != nullptr && at >= best_at) continue;
      best = &rings_[i];
      best_at = at;
    }
    if (best == nullptr) return std::nullopt;
    const auto slot = best->front().slot;
    best->pop_front();
    return slot;
  }
  [[nodiscard]] bool empty() const {
    for (const auto& ring : rings_) {
      if (!ring.empty()) return false;
    }
    return true;
  }
  void clear() {
    for (auto& ring : rings_) ring.clear();
  }

 private:
  struct Listed {
    DeviceSlot slot;
    SteadyTime at;
  };
  // Live, then backlog, of alarm, normal and bulk.
  static constexpr std::array<Milliseconds, 6> kDelays{Milliseconds(0),    Milliseconds(1000),   Milliseconds(2000),
                                                       Milliseconds(7000), Milliseconds(12'000), Milliseconds(17'000)};
  std::array<std::deque<Listed>, 6> rings_;
};

}  // namespace trunkline
