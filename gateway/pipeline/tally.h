// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "gateway/core/device_id.h"

namespace trunkline {

// Why a message left the spool, or never entered it, without an outcome of the hub (D-04). Each is counted.
enum class Drop {
  newest,   // on_full = "drop_newest", the device at its own limit
  oldest,   // on_full = "drop_oldest"
  expired,  // older than max_age
  purged,   // a dead letter that the operator threw away
};

// What the ledger books (D-05), per device and UTC day. Signed: a message that was dropped or expired here and that the
// hub had all the same is booked over to accepted.
struct Tally {
  std::int64_t received = 0;       // stamped, and in the gateway's care
  std::int64_t accepted = 0;       // by the hub
  std::int64_t dead_lettered = 0;  // moved to the dead letters; still in the gateway's care
  std::int64_t requeued = 0;       // moved back from there by the operator
  std::int64_t expired = 0;
  std::int64_t dropped_newest = 0;
  std::int64_t dropped_oldest = 0;
  std::int64_t purged = 0;
  std::int64_t duplicates = 0;  // suppressed; not part of received

  void drop(Drop why, std::int64_t count = 1) {
    switch (why) {
      case Drop::newest:
        dropped_newest += count;
        break;
      case Drop::oldest:
        dropped_oldest += count;
        break;
      case Drop::expired:
        expired += count;
        break;
      case Drop::purged:
        purged += count;
        break;
    }
  }
  [[nodiscard]] std::int64_t dropped() const { return dropped_newest + dropped_oldest + purged; }
  // By how much a day changes what the gateway holds: waiting and dead letters together.
  [[nodiscard]] std::int64_t carried() const { return received - accepted - dropped() - expired; }
  Tally& operator+=(const Tally& other) {
    received += other.received;
    accepted += other.accepted;
    dead_lettered += other.dead_lettered;
    requeued += other.requeued;
    expired += other.expired;
    dropped_newest += other.dropped_newest;
    dropped_oldest += other.dropped_oldest;
    purged += other.purged;
    duplicates += other.duplicates;
    return *this;
  }
  friend bool operator==(const Tally&, const Tally&) = default;
};
using Tallies = std::unordered_map<DeviceId, Tally>;

}  // namespace trunkline
