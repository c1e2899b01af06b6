// SPDX-License-Identifier: Apache-2.0
// The part of the multiplexer that decides what a fault means: for the device that it came to, and for nobody else.
#include <algorithm>
#include <utility>

#include "gateway/base/log.h"
#include "gateway/pipeline/multiplexer.h"

namespace trunkline {
namespace {

using Kind = LinkFault::Kind;

// A session that lasted so long ended for a new reason; one that keeps ending sooner backs off further and further.
constexpr Milliseconds kStable{60'000};
// Another client that uses the same identity: so many evictions, each within so long of the attach before it, and we
// leave the field. The first answers come soon and at random, so that two gateways agree within a minute.
constexpr unsigned kMaxEvictions = 3;
constexpr Milliseconds kHeld{600'000};
constexpr Milliseconds kEvictedFloor{2'000};
constexpr Milliseconds kEvictedCap{8'000};
constexpr Milliseconds kConflictFloor{600'000};
constexpr Milliseconds kConflictCap{3'600'000};
// Sessions in a row on which the hub settled nothing.
constexpr unsigned kMaxStalls = 3;

KeyChoice other(KeyChoice key) {
  return key == KeyChoice::primary ? KeyChoice::secondary : KeyChoice::primary;
}

}  // namespace

void Multiplexer::on_refused(DeviceSlot slot, LinkFault fault) {
  auto& device = at(slot);
  if (device.state != SessionState::authorising && !device.renewing) return;
  refusals_.add();
  if (fault.kind == Kind::full) {
    log::info("uplink_full", {{"connection", device.connection->slot.value}, {"text", fault.description}});
    trunk_.mark_full(*device.connection);
    end_session(device);
    trunk_.leave(*device.connection, device.slot);
    device.connection = nullptr;
    device.state = SessionState::idle;
    touch(device);
    return;
  }
  device.refused_at = wall_;
  if (fault.kind == Kind::unauthorised && take_other_key(device)) return;
  fail(device, std::move(fault));
}

// Either key is good at the hub; one of them may just be in the course of being changed.
bool Multiplexer::take_other_key(DeviceSession& device) {
  if (std::exchange(device.other_key, false)) {
    device.key = KeyChoice::primary;  // both were refused
    return false;
  }
  if (!tokens_.token(device.id, other(device.key), wall_)) return false;
  log::info("device_other_key_tried", {{"device", device.id.text()}, {"key", to_string(other(device.key))}});
  device.key = other(device.key);
  device.other_key = true;
  if (device.renewing) {
    device.renewing = false;
    device.renew_at = now_;  // on the live links
  } else {
    device.state = SessionState::idle;
  }
  touch(device);
  return true;
}

void Multiplexer::on_detached(DeviceSlot slot, DeviceLink, LinkFault fault) {
  auto& device = at(slot);
  if (device.state != SessionState::ready) return;  // the session's other link said so already
  detaches_.add();
  fail(device, std::move(fault));
}

// Ends the device's session and decides when it is tried again.
void Multiplexer::fail(DeviceSession& device, LinkFault fault) {
  const auto lasted = device.state == SessionState::ready ? now_ - device.ready_at : SteadyTime::duration{};
  if (lasted >= kStable) device.retry.reset();
  // A link that is refused or ended for its token gets one fresh token before we call for a person; a refused token
  // does not.
  const bool first_detach = device.state == SessionState::ready && !device.renewing && device.retry.attempt() == 0;
  if (fault.kind == Kind::taken_over && lasted >= kHeld) device.evictions = 0;
  if (fault.kind == Kind::throttled) {
    throttles_.add();
    attach_pace_.throttled(now_);
  }
  end_session(device);
  if (fault.kind == Kind::taken_over) {
    if (evicted(device, fault)) return quarantine(device, std::move(fault), kConflictFloor, kConflictCap);
    const auto delay = std::uniform_int_distribution<std::int64_t>(kEvictedFloor.count(), kEvictedCap.count())(random_);
    return back_off(device, SessionState::backing_off, std::move(fault), Milliseconds(delay));
  }
  const bool hopeless = fault.kind == Kind::unauthorised || fault.kind == Kind::not_found;
  if ((hopeless && !first_detach) || device.stalls >= kMaxStalls) {
    return quarantine(device, std::move(fault), options_.quarantine_floor, options_.quarantine_cap);
  }
  const auto delay = std::max(device.retry.next(), fault.retry_after.value_or(Milliseconds(0)));
  back_off(device, SessionState::backing_off, std::move(fault), delay);
}

// True once it makes no sense to fight on.
bool Multiplexer::evicted(DeviceSession& device, LinkFault& fault) {
  evictions_.add();
  ++device.evictions;
  fault.description = "another client uses the identity of " + device.id.text() +
                      " (a second gateway, or the device itself): stop one of them. The hub says: " + fault.description;
  return device.evictions >= kMaxEvictions;
}

void Multiplexer::quarantine(DeviceSession& device, LinkFault fault, Milliseconds floor, Milliseconds cap) {
  (void)device.retry.next();
  const auto shift = std::min(device.retry.attempt() - 1, 10u);
  const auto ceiling = std::min(cap.count(), floor.count() << shift);
  const auto least = std::min(floor.count(), ceiling);
  const Milliseconds delay(std::uniform_int_distribution<std::int64_t>(least, ceiling)(random_));
  back_off(device, SessionState::quarantined, std::move(fault),
           std::max(delay, fault.retry_after.value_or(Milliseconds(0))));
}

void Multiplexer::back_off(DeviceSession& device, SessionState state, LinkFault fault, Milliseconds delay) {
  device.state = state;
  device.retry_at = now_ + delay;
  log::warning(state == SessionState::quarantined ? "device_quarantined" : "device_backed_off",
               {{"device", device.id.text()}, {"error", fault.text()}, {"next_try_ms", delay.count()}});
  device.fault = std::move(fault);
  touch(device);
}

// The hub settles nothing. One device climbs to its session and then to quarantine; the connection is rebuilt
// only when several devices wait and none of them got an answer.
void Multiplexer::check_stall(DeviceSession& device) {
  if (device.in_flight.empty()) return;
  const auto due = device.in_flight.front().sent_at + options_.stall_limit;
  if (now_ < due) return wake_at(due, device);
  auto& connection = *device.connection;
  const LinkFault why{Kind::timeout,
                      "trunkline:stalled",
                      "the hub settled nothing for " + std::to_string(options_.stall_limit.count() / 1000) + " s",
                      {}};
  std::vector<DeviceSession*> waiting;
  for (auto& one : devices_) {
    if (one->connection == &connection && !one->in_flight.empty()) waiting.push_back(one.get());
  }
  if (waiting.size() < 2 || now_ - connection.settled_at < options_.stall_limit) {
    device_stalls_.add();
    ++device.stalls;
    return fail(device, why);
  }
  connection_stalls_.add();
  log::error("uplink_stalled", {{"connection", connection.slot.value},
                                {"devices", waiting.size()},
                                {"unsettled", connection.in_flight},
                                {"stalls", connection.stalls + 1}});
  for (auto* one : waiting) ++one->stalls;
  trunk_.rebuild(connection, why);
}

}  // namespace trunkline
