// SPDX-License-Identifier: Apache-2.0
// The part of the multiplexer that keeps the devices' sessions at the hub: who is authorised, attached, backed off.
#include <algorithm>
#include <utility>

#include "gateway/base/log.h"
#include "gateway/pipeline/multiplexer.h"

namespace trunkline {
namespace {

using Kind = LinkFault::Kind;

// A device without usable identity: the operator's next change wakes it, this is only the net below.
constexpr Milliseconds kDisabledRetry{600'000};

}  // namespace

DeviceSlot Multiplexer::add(const DeviceId& id, SessionOptions options, bool backlog) {
  if (const auto known = slots_.find(id); known != slots_.end()) {
    auto& device = at(known->second);
    device.options = options;
    device.backlog = device.backlog || backlog;
    if (device.state == SessionState::removed) device.state = SessionState::idle;
    touch(device);
    return device.slot;
  }
  const DeviceSlot slot{static_cast<std::uint32_t>(devices_.size())};
  auto& made = *devices_.emplace_back(std::make_unique<DeviceSession>(id, slot, options, random_()));
  made.backlog = backlog;
  slots_.emplace(id, slot);
  is_touched_.push_back(false);
  touch(made);
  return slot;
}

void Multiplexer::remove(const DeviceId& id) {
  const auto known = slots_.find(id);
  if (known == slots_.end() || at(known->second).state == SessionState::removed) return;
  auto& device = at(known->second);
  end_session(device);
  if (device.connection != nullptr) trunk_.leave(*device.connection, device.slot);
  const auto slot = device.slot;
  const auto backlog = device.backlog || !device.waiting.empty();
  const auto reading = device.reading;
  memory_ -= device.waiting_bytes;
  if (device.timer != kNever) timers_.erase({device.timer, slot.value});
  if (device.flows) store_.flowing(id, false);
  // It starts anew when it comes back: everything that waits is read from the spool, from the beginning.
  device = DeviceSession(id, slot, {}, random_());
  device.backlog = backlog;
  device.reading = reading;
  device.stale_read = reading;
  device.state = SessionState::removed;
}

bool Multiplexer::drained(const DeviceId& id) const {
  const auto known = slots_.find(id);
  if (known == slots_.end()) return true;
  const auto& device = *devices_[known->second.value];
  return device.state == SessionState::removed || (device.waiting.empty() && device.in_flight.empty() &&
                                                   !device.backlog && !device.reading && device.outstanding == 0);
}

bool Multiplexer::wants(const DeviceSession& device, DeviceLink which, bool at_start) {
  switch (which) {
    case DeviceLink::telemetry:
      return at_start || !device.waiting.empty() || device.backlog;
    case DeviceLink::commands:
      return device.options.commands && (device.options.stored || device.presence == Presence::reachable);
    case DeviceLink::methods:
      return device.options.methods && device.presence == Presence::reachable;
    case DeviceLink::twin:
      return device.options.twin;
  }
  return false;
}

bool Multiplexer::wants_session(const DeviceSession& device) const {
  if (stopping_ || device.state == SessionState::removed) return false;
  for (std::size_t i = 0; i < kDeviceLinks; ++i) {
    if (wants(device, static_cast<DeviceLink>(i), options_.attach_at_start)) return true;
  }
  return false;
}

// Connections.

void Multiplexer::on_ready(ConnectionSlot slot) {
  auto& connection = trunk_.at(slot);
  trunk_.on_ready(connection, now_);
  connects_.add();
  connected_.add();
  for (auto& device : devices_) {
    if (device->connection == nullptr || device->connection == &connection) touch(*device);
  }
}

void Multiplexer::on_lost(ConnectionSlot slot, LinkFault fault) {
  auto& connection = trunk_.at(slot);
  losses_.add();
  if (connection.up) connected_.set(connected_.value() - 1);
  for (auto& device : devices_) {
    if (device->connection != &connection) continue;
    back_to_waiting(*device);
    forget_links(*device);
    const bool own_trouble = device->state == SessionState::backing_off || device->state == SessionState::quarantined ||
                             device->state == SessionState::disabled;
    if (!own_trouble) device->state = SessionState::idle;
  }
  trunk_.on_lost(connection, std::move(fault));
  for (auto& device : devices_) show_flow(*device);
  sinks_.methods.on_callers_lost(slot);
}

void Multiplexer::stop() {
  stopping_ = true;
  trunk_.stop();
  for (auto& device : devices_) touch(*device);
}

// One device's session.

void Multiplexer::forget_links(DeviceSession& device) {
  if (device.link(DeviceLink::twin).attached) sinks_.twins.on_twin_link(device.slot, false);
  device.links = {};
  device.blocked = false;
  device.probing = false;
  device.listed = false;
  device.renewing = false;
  device.renew_at = kNever;
  device.granted = 0;
  if (device.connection != nullptr) {
    device.connection->commands -= std::min<std::size_t>(device.connection->commands, device.outstanding);
  }
  device.outstanding = 0;
}

// Ends the device's AMQP session, if it has one; nobody else is touched (I-01).
void Multiplexer::end_session(DeviceSession& device) {
  if (device.connection != nullptr) device.connection->uplink.detach(device.slot);
  back_to_waiting(device);
  const bool listed = device.listed;
  forget_links(device);
  device.listed = listed;  // its turn in the queue passes by itself
}

void Multiplexer::on_authorised(DeviceSlot slot) {
  auto& device = at(slot);
  if (device.connection == nullptr) return;
  trunk_.on_authorised(*device.connection);
  device.renewing = false;
  device.used_at = wall_;
  if (std::exchange(device.other_key, false)) {
    second_keys_.add();
    log::warning("device_key_switched",
                 {{"device", device.id.text()},
                  {"key", to_string(device.key)},
                  {"do", "the hub refuses the other key: trunkline identity rotate, or add it anew"}});
  }
  if (device.state == SessionState::authorising) {
    device.state = SessionState::ready;
    device.ready_at = now_;
  }
  touch(device);
}

void Multiplexer::on_attached(DeviceSlot slot, DeviceLink which) {
  auto& device = at(slot);
  auto& link = device.link(which);
  link.attaching = false;
  link.attached = true;
  if (which == DeviceLink::telemetry) device.blocked = false;
  if (which == DeviceLink::twin) sinks_.twins.on_twin_link(slot, true);
  if (device.fault) {
    log::info("device_recovered", {{"device", device.id.text()}});
    device.fault.reset();
  }
  touch(device);
}

void Multiplexer::identities_changed(const std::vector<DeviceId>& devices) {
  for (const auto& id : devices) {
    const auto known = slots_.find(id);
    if (known == slots_.end()) continue;
    auto& device = at(known->second);
    if (device.state == SessionState::quarantined || device.state == SessionState::disabled) {
      device.retry_at = now_;
      device.retry.reset();
    } else if (device.state == SessionState::ready && !device.renewing) {
      device.renew_at = now_;  // the key may be another one now; proven on the live links
    }
    device.key = KeyChoice::primary;
    device.other_key = false;
    touch(device);
  }
}

void Multiplexer::authorise(DeviceSession& device) {
  auto token = tokens_.token(device.id, device.key, wall_);
  if (!token) {
    if (device.state == SessionState::ready) end_session(device);
    const bool told = device.fault && device.fault->condition == "trunkline:no-identity";
    device.state = SessionState::disabled;
    device.renewing = false;
    device.renew_at = kNever;
    device.retry_at = now_ + kDisabledRetry;
    device.fault = LinkFault{Kind::unauthorised, "trunkline:no-identity", token.error().message, {}};
    if (!told) {
      log::warning("device_disabled",
                   {{"device", device.id.text()}, {"error", token.error().message}, {"do", "trunkline identity add"}});
    }
    wake_at(device.retry_at, device);
    return;
  }
  // Renewed at about 80 % of its life, spread so that a thousand renewals do not meet (hub-amqp-protocol.md gotcha 17).
  const auto life = token->expires - wall_;
  const double share = std::uniform_real_distribution<double>(0.75, 0.85)(random_);
  device.renew_at = now_ + std::chrono::duration_cast<Milliseconds>(life * share);
  if (device.state == SessionState::ready) {
    device.renewing = true;
  } else {
    device.state = SessionState::authorising;
  }
  device.connection->uplink.authorise(device.slot, device.id, std::move(*token));
}

void Multiplexer::attach_links(DeviceSession& device) {
  for (std::size_t i = 0; i < kDeviceLinks; ++i) {
    const auto which = static_cast<DeviceLink>(i);
    auto& link = device.link(which);
    if (link.attached || link.attaching || !wants(device, which, options_.attach_at_start)) continue;
    link.attaching = true;
    device.connection->uplink.attach(device.slot, which);
  }
}

void Multiplexer::enqueue(DeviceSession& device) {
  device.state = SessionState::queued;
  queue_.push({device.options.priority, device.activity.value(now_), turn_++, device.slot});
}

void Multiplexer::advance(DeviceSession& device) {
  if (device.held) {
    if (device.hold_until == kNever) {
      device.hold_until = now_ + std::max(device.release_retry.next(), device.hold_least);
      device.hold_least = Milliseconds(0);
    }
    if (now_ >= device.hold_until) {
      device.held = false;
      device.hold_until = kNever;
    } else {
      wake_at(device.hold_until, device);
    }
  }
  if (device.connection == nullptr && wants_session(device)) device.connection = &trunk_.place(device.slot);
  if (device.connection == nullptr || device.connection->state != Trunk::State::open) return;
  switch (device.state) {
    case SessionState::backing_off:
    case SessionState::quarantined:
    case SessionState::disabled:
      if (now_ < device.retry_at) {
        wake_at(device.retry_at, device);
        return;
      }
      [[fallthrough]];
    case SessionState::idle:
      if (wants_session(device)) enqueue(device);
      return;
    case SessionState::ready:
      break;
    default:
      return;
  }
  if (now_ >= device.renew_at && !device.renewing && !stopping_) {
    authorise(device);
    if (device.state != SessionState::ready) return;
  }
  if (!device.renewing) wake_at(device.renew_at, device);
  check_stall(device);
  if (device.state != SessionState::ready || device.connection->state != Trunk::State::open) return;
  if (!stopping_) attach_links(device);
  if (device.blocked && !device.probing) {
    const auto due = device.blocked_at + options_.stall_limit;
    if (now_ >= due) {
      device.blocked = false;
      device.probing = true;
    } else {
      wake_at(due, device);
    }
  }
  refill(device);
  grant(device);
  list(device);
}

void Multiplexer::tick_queue() {
  while (!queue_.empty()) {
    auto& device = at(queue_.top().slot);
    if (device.state == SessionState::queued) {
      if (!attach_pace_.take(now_)) return;
      queue_.pop();
      authorise(device);
    } else {
      queue_.pop();
    }
  }
}

}  // namespace trunkline
