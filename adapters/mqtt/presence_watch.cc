// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/presence_watch.h"

#include <algorithm>

namespace trunkline::mqtt {

namespace {
constexpr int kMissedBeats = 3;
}

PresenceWatch::PresenceWatch(std::vector<std::optional<Milliseconds>> expect_every) {
  devices_.reserve(expect_every.size());
  for (const auto& beat : expect_every) devices_.push_back({beat, std::nullopt});
}

void PresenceWatch::set_device(std::size_t device, bool mapped, std::optional<Milliseconds> expect_every) {
  if (devices_.size() <= device) devices_.resize(device + 1);
  devices_[device].unmapped = !mapped;
  devices_[device].expect_every = expect_every;
  touched_.push_back(device);
}

void PresenceWatch::set_broker(bool connected) {
  if (connected_ == connected) return;
  connected_ = connected;
  all_touched_ = true;
}

void PresenceWatch::said(std::size_t device, std::optional<bool> online) {
  devices_[device].gone = online == false;
  touched_.push_back(device);
}

void PresenceWatch::bridge_said(std::size_t device, std::optional<bool> online) {
  devices_[device].bridge_gone = online == false;
  touched_.push_back(device);
}

void PresenceWatch::heard(std::size_t device, SteadyTime when) {
  auto& heard = devices_[device].heard;
  heard = heard ? std::max(*heard, when) : when;
  if (devices_[device].presence == Presence::away) touched_.push_back(device);
}

std::vector<PresenceWatch::Change> PresenceWatch::tick(SteadyTime now) {
  std::vector<Change> changes;
  const auto look_at = [&](std::size_t index) {
    auto& device = devices_[index];
    const auto presence = judge(device, now);
    if (presence != device.presence) changes.push_back({index, device.presence = presence});
    if (presence == Presence::reachable && device.expect_every) {
      deadline_ = std::min(deadline_, *device.heard + kMissedBeats * *device.expect_every);
    }
  };
  // Walking over all of them is for when one is due or the broker came or went, not for every message.
  if (all_touched_ || now >= deadline_) {
    deadline_ = kNever;
    for (std::size_t i = 0; i < devices_.size(); ++i) look_at(i);
  } else {
    for (const auto index : touched_) look_at(index);
  }
  all_touched_ = false;
  touched_.clear();
  return changes;
}

Presence PresenceWatch::judge(const Device& device, SteadyTime now) const {
  if (!connected_ || device.unmapped) return Presence::away;
  if (device.gone || device.bridge_gone) return Presence::away;
  if (!device.expect_every) return Presence::reachable;
  const bool lately = device.heard && now < *device.heard + kMissedBeats * *device.expect_every;
  return lately ? Presence::reachable : Presence::away;
}

}  // namespace trunkline::mqtt
