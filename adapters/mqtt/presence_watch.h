// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/core/adapter.h"

namespace trunkline::mqtt {

// Which devices can be reached (C-02): those of a broker that we are connected to, unless their last will or that of
// their bridge says that they are gone, or they have a beat (expect_every) and were silent for three of them. What
// wills said outlives a lost connection: the broker's session brings what changed meanwhile. Pure.
class PresenceWatch {
 public:
  struct Change {
    std::size_t device = 0;
    Presence presence = Presence::away;
  };

  explicit PresenceWatch(std::vector<std::optional<Milliseconds>> expect_every);

  // A device that is new or has another beat now; one that is not mapped is away.
  void set_device(std::size_t device, bool mapped, std::optional<Milliseconds> expect_every);

  void set_broker(bool connected);
  // Nothing: it is not known any more.
  void said(std::size_t device, std::optional<bool> online);
  void bridge_said(std::size_t device, std::optional<bool> online);
  void heard(std::size_t device, SteadyTime when);

  // What changed since the last call; everybody starts as away.
  std::vector<Change> tick(SteadyTime now);

  // When the next device falls silent.
  [[nodiscard]] SteadyTime deadline() const { return deadline_; }

  [[nodiscard]] Presence of(std::size_t device) const { return devices_[device].presence; }

 private:
  struct Device {
    std::optional<Milliseconds> expect_every;
    std::optional<SteadyTime> heard;
    Presence presence = Presence::away;
    bool unmapped = false;
    bool gone = false;         // says its will
    bool bridge_gone = false;  // says the will of its bridge
  };
  [[nodiscard]] Presence judge(const Device& device, SteadyTime now) const;

  std::vector<Device> devices_;
  std::vector<std::size_t> touched_;
  bool connected_ = false;
  bool all_touched_ = false;
  SteadyTime deadline_ = kNever;
};

}  // namespace trunkline::mqtt
