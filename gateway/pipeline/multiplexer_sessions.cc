// SPDX-License-Identifier: Apache-2.0
// The half of the multiplexer that keeps connection and device sessions; multiplexer.cc moves the messages.
#include <algorithm>
#include <array>

#include "gateway/base/log.h"
#include "gateway/pipeline/multiplexer.h"

namespace trunkline {
namespace {

// After a release a command waits this long for new credit: each release spends one of the hub's ten deliveries (C-02).
constexpr std::array<Milliseconds, 3> kCreditDelays{Milliseconds(1000), Milliseconds(5000), Milliseconds(30'000)};
// A session that lasted so long ended for a new reason; one that keeps ending sooner backs off further and further.
constexpr Milliseconds kStable{60'000};
// A device without usable identity: the operator's next change wakes it, this is only the net below.
constexpr Milliseconds kDisabledRetry{600'000};

std::string text(const LinkFault& fault) {
  std::string out(to_string(fault.kind));
  if (!fault.condition.empty()) out += " " + fault.condition;
  if (!fault.description.empty()) out += ": " + fault.description;
  return out;
}

}  // namespace

bool Multiplexer::wants_session(const DeviceSession& device) const {
  if (stopping_) return false;
  return !device.waiting.empty() || device.backlog || (device.takes_commands && device.presence == Presence::reachable);
}

// The connection.

void Multiplexer::on_ready(ConnectionSlot) {
  connection_ = Connection::open;
  ++connections_;
  connects_.add();
  connected_.set(1);
  attach_tokens_ = 1;
  attach_filled_ = now_;
  for (auto& device : devices_) touch(*device);
}

void Multiplexer::on_lost(ConnectionSlot, LinkFault fault) {
  connection_ = stopping_ ? Connection::stopped : Connection::waiting;
  reconnect_due_ = !stopping_;
  losses_.add();
  connected_.set(0);
  connection_fault_ = std::move(fault);
  queue_.clear();
  ring_.clear();
  for (auto& device : devices_) {
    back_to_waiting(*device);
    device->telemetry = {};
    device->commands = {};
    device->blocked = false;
    device->listed = false;
    device->renewing = false;
    device->renew_at = kNever;
    device->granted = 0;
    device->outstanding = 0;
    const bool own_trouble = device->state == SessionState::backing_off || device->state == SessionState::quarantined ||
                             device->state == SessionState::disabled;
    if (!own_trouble) device->state = SessionState::idle;
  }
}

void Multiplexer::stop() {
  stopping_ = true;
  if (connection_ == Connection::waiting) connection_ = Connection::stopped;
  for (auto& device : devices_) touch(*device);
}

void Multiplexer::tick_connection() {
  if (connection_ != Connection::waiting) return;
  if (reconnect_due_) {
    reconnect_due_ = false;
    open_at_ = now_ + std::max(reconnect_.next(), connection_fault_.retry_after.value_or(Milliseconds(0)));
    log::info("uplink_retry_scheduled", {{"in_ms", std::chrono::duration_cast<Milliseconds>(open_at_ - now_).count()},
                                         {"attempt", reconnect_.attempt()}});
  }
  if (now_ < open_at_) return;
  connection_ = Connection::opening;
  uplink_.open();
}

// One device's session.

void Multiplexer::on_authorised(DeviceSlot slot) {
  auto& device = at(slot);
  reconnect_.reset();
  device.renewing = false;
  if (device.state == SessionState::authorising) {
    device.state = SessionState::ready;
    device.ready_at = now_;
  }
  touch(device);
}

void Multiplexer::on_refused(DeviceSlot slot, LinkFault fault) {
  auto& device = at(slot);
  if (device.state != SessionState::authorising && !device.renewing) return;
  refusals_.add();
  fail(device, std::move(fault));
}

void Multiplexer::on_attached(DeviceSlot slot, DeviceLink which) {
  auto& device = at(slot);
  auto& link = which == DeviceLink::telemetry ? device.telemetry : device.commands;
  link.attaching = false;
  link.attached = true;
  if (which == DeviceLink::telemetry) device.blocked = false;
  if (device.fault) {
    log::info("device_recovered", {{"device", device.id.text()}});
    device.fault.reset();
  }
  touch(device);
}

void Multiplexer::on_detached(DeviceSlot slot, DeviceLink, LinkFault fault) {
  auto& device = at(slot);
  if (device.state != SessionState::ready) return;  // the session's other link said so already
  detaches_.add();
  fail(device, std::move(fault));
}

// Ends the device's AMQP session and decides when it is tried again. Nobody else is touched (I-01).
void Multiplexer::fail(DeviceSession& device, LinkFault fault) {
  const bool hopeless = fault.kind == LinkFault::Kind::unauthorised || fault.kind == LinkFault::Kind::not_found;
  if (device.state == SessionState::ready && now_ - device.ready_at >= kStable) device.retry.reset();
  // A link that is refused or ended for its token gets one fresh token before we call for a person; a refused token
  // does not.
  const bool first_detach = device.state == SessionState::ready && !device.renewing && device.retry.attempt() == 0;
  uplink_.detach(device.slot);
  back_to_waiting(device);
  device.telemetry = {};
  device.commands = {};
  device.blocked = false;
  device.renewing = false;
  device.renew_at = kNever;
  device.granted = 0;
  device.outstanding = 0;
  auto delay = device.retry.next();
  device.state = SessionState::backing_off;
  if (hopeless && !first_detach) {
    device.state = SessionState::quarantined;
    const auto shift = std::min(device.retry.attempt() - 1, 10u);
    const auto ceiling = std::min(options_.quarantine_cap.count(), options_.quarantine_floor.count() << shift);
    delay = Milliseconds(std::uniform_int_distribution<std::int64_t>(
        std::min(options_.quarantine_floor.count(), ceiling), ceiling)(random_));
  }
  delay = std::max(delay, fault.retry_after.value_or(Milliseconds(0)));
  device.retry_at = now_ + delay;
  log::warning(device.state == SessionState::quarantined ? "device_quarantined" : "device_backed_off",
               {{"device", device.id.text()}, {"error", text(fault)}, {"next_try_ms", delay.count()}});
  device.fault = std::move(fault);
  touch(device);
}

void Multiplexer::identities_changed() {
  for (auto& device : devices_) {
    if (device->state == SessionState::quarantined || device->state == SessionState::disabled) {
      device->retry_at = now_;
      device->retry.reset();
    } else if (device->state == SessionState::ready && !device->renewing) {
      device->renew_at = now_;  // the key may be another one now; proven on the live links
    }
    touch(*device);
  }
}

void Multiplexer::authorise(DeviceSession& device) {
  auto token = tokens_.token(device.id, KeyChoice::primary, wall_);
  if (!token) {
    if (device.state == SessionState::ready) {
      uplink_.detach(device.slot);
      back_to_waiting(device);
      device.telemetry = {};
      device.commands = {};
      device.granted = 0;
      device.outstanding = 0;
    }
    const bool told =
        device.state == SessionState::disabled || (device.fault && device.fault->condition == "trunkline:no-identity");
    device.state = SessionState::disabled;
    device.renewing = false;
    device.renew_at = kNever;
    device.retry_at = now_ + kDisabledRetry;
    device.fault = LinkFault{LinkFault::Kind::unauthorised, "trunkline:no-identity", token.error().message, {}};
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
  uplink_.authorise(device.slot, device.id, std::move(*token));
}

void Multiplexer::attach(DeviceSession& device, DeviceLink which, DeviceSession::Link& link) {
  if (link.attached || link.attaching) return;
  link.attaching = true;
  uplink_.attach(device.slot, which);
}

void Multiplexer::advance(DeviceSession& device) {
  if (device.held) {
    if (device.hold_until == kNever) device.hold_until = now_ + device.release_retry.next();
    if (now_ >= device.hold_until) {
      device.held = false;
      device.hold_until = kNever;
    } else {
      wake_at(device.hold_until, device);
    }
  }
  if (connection_ != Connection::open) return;
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
      if (!wants_session(device)) return;
      device.state = SessionState::queued;
      queue_.push_back(device.slot);
      return;
    case SessionState::queued:
    case SessionState::authorising:
      return;
    case SessionState::ready:
      break;
  }
  if (now_ >= device.renew_at && !device.renewing && !stopping_) {
    authorise(device);
    if (device.state != SessionState::ready) return;
  }
  if (!device.renewing) wake_at(device.renew_at, device);
  if (!device.waiting.empty() || device.backlog) attach(device, DeviceLink::telemetry, device.telemetry);
  if (device.takes_commands && device.presence == Presence::reachable) {
    attach(device, DeviceLink::commands, device.commands);
  }
  refill(device);
  grant(device);
  list(device);
}

void Multiplexer::tick_queue() {
  if (connection_ != Connection::open) return;
  const bool paced = options_.attach_rate > 0;
  if (paced) {
    const double seconds = std::chrono::duration<double>(now_ - attach_filled_).count();
    attach_tokens_ =
        std::min(std::max(1.0, options_.attach_rate / 10), attach_tokens_ + seconds * options_.attach_rate);
    attach_filled_ = now_;
  }
  while (!queue_.empty() && (!paced || attach_tokens_ >= 1)) {
    auto& device = at(queue_.front());
    queue_.pop_front();
    if (device.state != SessionState::queued) continue;
    if (paced) attach_tokens_ -= 1;
    authorise(device);
  }
}

// Commands: credit follows presence and pace (C-02).

void Multiplexer::presence(const DeviceId& id, Presence presence) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return;
  auto& device = at(found->second);
  if (device.presence == presence) return;
  device.presence = presence;
  if (presence == Presence::reachable) {
    device.releases = 0;
    device.credit_due = false;
    device.credit_at = {};
  }
  touch(device);
}

void Multiplexer::on_command(DeviceSlot slot, Command command, CommandTag tag) {
  auto& device = at(slot);
  if (device.granted > 0) --device.granted;
  ++device.outstanding;
  command_sink_.on_command(slot, std::move(command), tag);
  touch(device);
}

void Multiplexer::command_finished(DeviceSlot slot, Outcome::Kind kind) {
  auto& device = at(slot);
  if (device.outstanding > 0) --device.outstanding;
  if (kind == Outcome::Kind::released) {
    device.credit_due = true;
  } else {
    device.releases = 0;
  }
  touch(device);
}

void Multiplexer::grant(DeviceSession& device) {
  if (!device.commands.attached) return;
  if (device.credit_due) {
    device.credit_due = false;
    device.credit_at = now_ + kCreditDelays[std::min<std::size_t>(device.releases, kCreditDelays.size() - 1)];
    ++device.releases;
  }
  unsigned wanted = 0;
  if (device.presence == Presence::reachable && device.outstanding == 0 && !stopping_) {
    if (now_ >= device.credit_at) {
      wanted = 1;
    } else {
      wake_at(device.credit_at, device);
    }
  }
  if (wanted == device.granted) return;
  device.granted = wanted;
  uplink_.grant_commands(device.slot, wanted);
}

// Time.

SteadyTime Multiplexer::tick(SteadyTime now, WallTime wall) {
  now_ = now;
  wall_ = wall;
  tick_connection();
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    auto& device = *devices_[timers_.begin()->second];
    timers_.erase(timers_.begin());
    device.timer = kNever;
    touch(device);
  }
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    is_touched_[touched_[i].value] = false;
    advance(at(touched_[i]));
  }
  touched_.clear();
  tick_queue();
  send_round();
  return next_deadline();
}

SteadyTime Multiplexer::next_deadline() const {
  auto deadline = timers_.empty() ? kNever : timers_.begin()->first;
  if (connection_ == Connection::waiting) deadline = std::min(deadline, open_at_);
  if (!touched_.empty()) deadline = now_;
  if (connection_ == Connection::open && !queue_.empty() && options_.attach_rate > 0) {
    const std::chrono::duration<double> missing((1 - attach_tokens_) / options_.attach_rate);
    deadline = std::min(deadline, now_ + std::chrono::ceil<Milliseconds>(missing));
  }
  return deadline;
}

Multiplexer::Status Multiplexer::status() const {
  Status out{connection_, connections_, connection_ == Connection::open ? std::string() : text(connection_fault_),
             open_at_,    in_flight_,   {}};
  out.devices.reserve(devices_.size());
  for (const auto& device : devices_) {
    const bool waits = device->state == SessionState::backing_off || device->state == SessionState::quarantined;
    out.devices.push_back({device->id, device->state, device->presence, device->accepted, device->in_flight.size(),
                           device->fault ? text(*device->fault) : std::string(), waits ? device->retry_at : kNever});
  }
  return out;
}

}  // namespace trunkline
