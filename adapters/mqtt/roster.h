// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "adapters/mqtt/topic_table.h"
#include "gateway/base/clock.h"
#include "gateway/base/log_limit.h"
#include "gateway/base/result.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::mqtt {

// What several threads note and read of each device.
struct DeviceNote {
  std::atomic<SteadyTime::rep> heard{0};       // steady time since its epoch; 0: never
  std::atomic<WallTime::rep> heard_at{0};      // the same in wall time
  std::atomic<bool> reachable{false};          // as last reported
  std::atomic<bool> sign_of_life_sent{false};  // a HeardAgain is on its way
  LogLimit refusal_lines{
      std::chrono::seconds(60)};  // the arrival thread's: each device is named, however loud others are
};

// One broker's devices as the maps have them. An immutable value that every thread reads; a reload makes another one. A
// device keeps its place as long as the adapter lives, so that what is on its way never reaches another; the place of
// one that was taken away has a map without `mqtt`.
struct Roster {
  std::vector<DeviceMap> devices;
  std::vector<std::shared_ptr<DeviceNote>> notes;  // by place; the same in every roster
  std::unordered_map<DeviceId, std::size_t> places;
  TopicTable topics;

  // Of those maps that are for this broker. invalid: what TopicTable and the commands' proofs say.
  static Result<std::shared_ptr<const Roster>> make(const std::string& broker, const std::vector<DeviceMap>& maps);
  [[nodiscard]] Result<std::shared_ptr<const Roster>> with(const std::string& broker,
                                                           const DeviceChanges& changes) const;

  [[nodiscard]] bool holds(std::size_t place) const { return devices[place].mqtt.has_value(); }
  // Some command is proved by its PUBACK alone.
  [[nodiscard]] bool any_proved_by_puback() const;

 private:
  void put(const DeviceMap& map);
  Result<void> finish();
};
using RosterPtr = std::shared_ptr<const Roster>;

// What the arrivals go by. While subscriptions change, a topic that only the roster before knows is still its device's.
struct Rosters {
  explicit Rosters(RosterPtr roster) : now(std::move(roster)) {}
  std::atomic<RosterPtr> now;
  std::atomic<RosterPtr> before;  // null: no change is under way
};

}  // namespace trunkline::mqtt
