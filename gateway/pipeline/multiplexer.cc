// SPDX-License-Identifier: Apache-2.0
// Telemetry, from intake to the wire and back; multiplexer_sessions.cc keeps the devices' sessions,
// multiplexer_commands.cc their command credit.
#include "gateway/pipeline/multiplexer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "gateway/base/check.h"
#include "gateway/base/log.h"

namespace trunkline {

Multiplexer::Multiplexer(UplinkFactory& uplinks, StoreRequests& store, const TokenProvider& tokens, Sinks sinks,
                         Metrics& metrics, Options options, std::uint64_t seed)
    : store_(store),
      tokens_(tokens),
      sinks_(sinks),
      options_(options),
      random_(seed),
      trunk_(uplinks, options.trunk, random_()),
      attach_pace_(options.attach_rate),
      send_pace_(options.send_rate),
      accepted_(metrics.metric("uplink_accepted_total", "Messages the hub accepted")),
      rejected_(metrics.metric("uplink_rejected_total", "Messages the hub rejected")),
      released_(metrics.metric("uplink_released_total", "Outcomes released; the message is sent again")),
      modified_(metrics.metric("uplink_modified_total", "Outcomes modified")),
      throttles_(
          metrics.metric("uplink_throttled_total", "Messages, tokens and links that the hub refused for its rate")),
      requeued_(
          metrics.metric("uplink_requeued_total", "Unsettled messages offered again after a lost link or connection")),
      sent_(metrics.metric("uplink_sent_total", "Transfers sent to the hub, repeats included")),
      connects_(metrics.metric("uplink_connections_total", "Connections to the hub that were opened")),
      losses_(metrics.metric("uplink_losses_total", "Connections to the hub, or attempts at one, that ended")),
      refusals_(metrics.metric("device_refusals_total", "Tokens that the hub refused")),
      detaches_(metrics.metric("device_detaches_total", "Links that the hub refused or ended")),
      evictions_(metrics.metric("device_evictions_total", "Sessions taken over by another client of the same device")),
      second_keys_(
          metrics.metric("device_key_switches_total", "Devices whose other key was taken after one was refused")),
      device_stalls_(metrics.metric("device_stalls_total", "Sessions restarted because the hub settled nothing")),
      connection_stalls_(
          metrics.metric("uplink_stalls_total", "Connections rebuilt because nothing on them was settled")),
      missed_credit_(
          metrics.metric("uplink_missed_credit_total", "Times that credit was there and we had not been told")),
      connected_(metrics.metric("uplink_connected", "Connections to the hub that are open")) {}

DeviceSession& Multiplexer::at(DeviceSlot slot) {
  return *devices_.at(slot.value);
}

DeviceSession& Multiplexer::at(const DeviceId& device) {
  const auto found = slots_.find(device);
  TRUNKLINE_CHECK(found != slots_.end(), "every message belongs to a mapped device");
  return at(found->second);
}

void Multiplexer::touch(DeviceSession& device) {
  if (is_touched_[device.slot.value]) return;
  is_touched_[device.slot.value] = true;
  touched_.push_back(device.slot);
}

void Multiplexer::wake_at(SteadyTime deadline, DeviceSession& device) {
  if (deadline == kNever || device.timer <= deadline) return;
  if (device.timer != kNever) timers_.erase({device.timer, device.slot.value});
  device.timer = deadline;
  timers_.emplace(deadline, device.slot.value);
}

void Multiplexer::offer(MessagePtr message) {
  auto& device = at(message->telemetry.device);
  if (message->position <= device.tail) return;  // read from the spool before its live copy came by
  device.activity.add(now_);
  const auto bytes = message->footprint();
  if (device.backlog || device.state == SessionState::removed ||
      device.waiting_bytes + bytes > options_.device_memory || memory_ + bytes > options_.memory) {
    device.missed = message->position;
    device.backlog = true;
    touch(device);
    return;
  }
  device.tail = message->position;
  device.waiting_bytes += bytes;
  memory_ += bytes;
  device.waiting.push_back({std::move(message), 0});
  if (device.state == SessionState::ready && device.link(DeviceLink::telemetry).attached) {
    list(device);
  } else {
    touch(device);
  }
}

void Multiplexer::missed(const DeviceId& id, Position newest) {
  auto& device = at(id);
  device.missed = std::max(device.missed, newest);
  device.backlog = true;
  touch(device);
}

void Multiplexer::on_batch(ReadAnswer answer) {
  auto& device = at(answer.slot);
  device.reading = false;
  if (std::exchange(device.stale_read, false)) return touch(device);
  if (answer.failed) {
    device.read_at = now_ + Milliseconds(1000);
    touch(device);
    return;
  }
  for (auto& message : answer.messages) {
    if (message->position <= device.tail) continue;
    device.tail = message->position;
    const auto bytes = message->footprint();
    device.waiting_bytes += bytes;
    memory_ += bytes;
    device.waiting.push_back({std::move(message), 0});
  }
  // What was missed and is not there any more has expired or was dropped.
  if (!answer.more) device.tail = std::max(device.tail, device.asked);
  device.backlog = answer.more || device.missed > device.tail;
  touch(device);
}

void Multiplexer::forget(const DeviceId& id, Position position) {
  const auto known = slots_.find(id);
  if (known == slots_.end()) return;
  auto& device = at(known->second);
  const auto waits = std::lower_bound(
      device.waiting.begin(), device.waiting.end(), position,
      [](const DeviceSession::Entry& entry, Position value) { return entry.message->position < value; });
  if (waits != device.waiting.end() && waits->message->position == position) {
    const auto bytes = waits->message->footprint();
    device.waiting_bytes -= bytes;
    memory_ -= bytes;
    device.waiting.erase(waits);
    touch(device);
    return;
  }
  for (auto& entry : device.in_flight) {
    if (entry.message->position == position) entry.forgotten = true;
  }
}

void Multiplexer::refill(DeviceSession& device) {
  constexpr std::size_t kLow = 32;
  constexpr std::size_t kBatch = 128;
  if (!device.backlog || device.reading || stopping_ || device.waiting.size() >= kLow) return;
  if (memory_ >= options_.memory && !device.waiting.empty()) return;
  if (now_ < device.read_at) {
    wake_at(device.read_at, device);
    return;
  }
  device.reading = true;
  device.asked = device.missed;
  store_.read({device.slot, device.id, device.tail, kBatch, options_.device_memory / 2});
}

bool Multiplexer::may_send(const DeviceSession& device) const {
  return device.state == SessionState::ready && device.link(DeviceLink::telemetry).attached && !device.blocked &&
         !device.held && !device.waiting.empty() && device.in_flight.size() < device.options.max_in_flight;
}

void Multiplexer::list(DeviceSession& device) {
  if (device.listed || !may_send(device)) return;
  constexpr std::size_t kBacklog = 64;
  device.listed = true;
  const bool backlog = device.backlog || device.waiting.size() > kBacklog;
  device.connection->sends.push(device.slot, device.options.priority, backlog, now_);
}

// Sends one message of the device whose turn it is; false when the connection has nothing to send or no room.
bool Multiplexer::send_one(Connection& connection) {
  while (connection.in_flight < options_.window) {
    const auto slot = connection.sends.pop();
    if (!slot) return false;
    auto& device = at(*slot);
    device.listed = false;
    if (!may_send(device)) continue;
    switch (connection.uplink.send(device.slot, device.waiting.front().message)) {
      case Uplink::SendResult::sent: {
        auto entry = std::move(device.waiting.front());
        device.waiting.pop_front();
        const auto bytes = entry.message->footprint();
        device.waiting_bytes -= bytes;
        memory_ -= bytes;
        entry.sent_at = now_;
        device.in_flight.push_back(std::move(entry));
        ++connection.in_flight;
        connection.busy_at = now_;
        sent_.add();
        if (std::exchange(device.probing, false)) {
          missed_credit_.add();
          log::warning("uplink_credit_missed", {{"device", device.id.text()}});
        }
        if (device.in_flight.size() == 1) wake_at(now_ + options_.stall_limit, device);
        list(device);
        refill(device);
        return true;
      }
      case Uplink::SendResult::no_credit:
      case Uplink::SendResult::blocked:
        device.blocked = true;
        if (!std::exchange(device.probing, false)) device.blocked_at = now_;
        wake_at(now_ + options_.stall_limit, device);
        show_flow(device);
        break;
      case Uplink::SendResult::detached:
        device.link(DeviceLink::telemetry).attached = false;
        break;
    }
  }
  return false;
}

void Multiplexer::send_round() {
  if (stopping_) return;
  for (bool sent = true; sent;) {
    sent = false;
    for (const auto& connection : trunk_.all()) {
      if (connection->state != Trunk::State::open || connection->sends.empty()) continue;
      if (send_pace_.next(now_) > now_) return;
      if (!send_one(*connection)) continue;
      send_pace_.take(now_);
      sent = true;
    }
  }
}

void Multiplexer::on_sendable(DeviceSlot slot) {
  auto& device = at(slot);
  device.blocked = false;
  device.probing = false;
  show_flow(device);
  list(device);
}

// A device that was not attached yet flows: the hub has said nothing against it.
bool Multiplexer::flows(const DeviceSession& device) const {
  const auto open = [](const Connection& connection) { return connection.state == Trunk::State::open; };
  const auto& all = trunk_.all();
  const bool connected = device.connection != nullptr
                             ? open(*device.connection)
                             : std::any_of(all.begin(), all.end(), [&](const auto& one) { return open(*one); });
  if (!connected || stopping_ || device.held || device.blocked) return false;
  return device.state == SessionState::idle || device.state == SessionState::queued ||
         device.state == SessionState::authorising || device.state == SessionState::ready;
}

void Multiplexer::show_flow(DeviceSession& device) {
  const bool now = flows(device);
  if (now == device.flows) return;
  device.flows = now;
  store_.flowing(device.id, now);
}

void Multiplexer::on_outcome(DeviceSlot slot, Position position, Outcome outcome) {
  auto& device = at(slot);
  const auto found = std::find_if(device.in_flight.begin(), device.in_flight.end(),
                                  [position](const auto& entry) { return entry.message->position == position; });
  if (found == device.in_flight.end()) return;  // of a link that ended meanwhile
  auto entry = std::move(*found);
  device.in_flight.erase(found);
  --device.connection->in_flight;
  device.connection->settled = true;
  switch (outcome.kind) {
    case Outcome::Kind::accepted:
      accepted_.add();
      ++device.accepted;
      device.stalls = 0;
      if (device.release_retry.attempt() != 0) device.release_retry.reset();
      store_.settle({std::move(entry.message), std::move(outcome)});
      break;
    case Outcome::Kind::rejected:
      rejected_.add();
      log::warning("message_dead_lettered", {{"device", device.id.text()},
                                             {"position", position.value},
                                             {"error", outcome.condition},
                                             {"text", outcome.description}});
      store_.settle({std::move(entry.message), std::move(outcome)});
      break;
    case Outcome::Kind::released:
      released_.add();
      if (outcome.retry_after > Milliseconds(0)) {
        throttles_.add();
        send_pace_.throttled(now_);
      }
      hold(device, std::move(entry), outcome.retry_after);
      break;
    case Outcome::Kind::modified:
      modified_.add();
      if (outcome.undeliverable_here || ++entry.attempts >= options_.max_attempts) {
        if (outcome.description.empty()) {
          outcome.description = outcome.undeliverable_here ? "undeliverable here" : "modified too often";
        }
        log::warning("message_dead_lettered", {{"device", device.id.text()},
                                               {"position", position.value},
                                               {"error", "modified"},
                                               {"text", outcome.description}});
        store_.settle({std::move(entry.message), std::move(outcome)});
      } else {
        hold(device, std::move(entry), outcome.retry_after);
      }
      break;
  }
  list(device);
  refill(device);
}

// A released or modified message waits, and everything behind it of the same device (D-03).
void Multiplexer::hold(DeviceSession& device, DeviceSession::Entry entry, Milliseconds least) {
  if (entry.forgotten) return;
  const auto bytes = entry.message->footprint();
  device.waiting_bytes += bytes;
  memory_ += bytes;
  const auto place = std::upper_bound(
      device.waiting.begin(), device.waiting.end(), entry.message->position,
      [](Position position, const DeviceSession::Entry& other) { return position < other.message->position; });
  device.waiting.insert(place, std::move(entry));
  if (!device.held) device.hold_until = kNever;
  device.held = true;
  device.hold_least = std::max(device.hold_least, least);
  touch(device);
}

void Multiplexer::back_to_waiting(DeviceSession& device) {
  if (device.in_flight.empty()) return;
  if (device.connection != nullptr) {
    device.connection->in_flight -= std::min(device.connection->in_flight, device.in_flight.size());
  }
  for (auto& entry : device.in_flight) {
    if (entry.forgotten) continue;
    requeued_.add();
    const auto bytes = entry.message->footprint();
    device.waiting_bytes += bytes;
    memory_ += bytes;
    device.waiting.push_back(std::move(entry));
  }
  device.in_flight.clear();
  std::sort(device.waiting.begin(), device.waiting.end(),
            [](const auto& a, const auto& b) { return a.message->position < b.message->position; });
}

std::size_t Multiplexer::in_flight() const {
  std::size_t out = 0;
  for (const auto& connection : trunk_.all()) out += connection->in_flight;
  return out;
}

// Time.

SteadyTime Multiplexer::tick(SteadyTime now, WallTime wall) {
  now_ = now;
  wall_ = wall;
  const auto trunk = trunk_.tick(now);
  attach_pace_.recover(now);
  send_pace_.recover(now);
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    auto& device = *devices_[timers_.begin()->second];
    timers_.erase(timers_.begin());
    device.timer = kNever;
    touch(device);
  }
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    is_touched_[touched_[i].value] = false;
    advance(at(touched_[i]));
    show_flow(at(touched_[i]));
  }
  touched_.clear();
  tick_queue();
  send_round();
  return next_deadline(trunk);
}

SteadyTime Multiplexer::next_deadline(SteadyTime trunk) {
  auto deadline = std::min(trunk, timers_.empty() ? kNever : timers_.begin()->first);
  if (!touched_.empty()) return now_;
  if (!queue_.empty()) deadline = std::min(deadline, attach_pace_.next(now_));
  for (const auto& connection : trunk_.all()) {
    if (connection->state == Trunk::State::closed && connection->devices > 0 && !stopping_) return now_;
    const bool sends = connection->state == Trunk::State::open && !connection->sends.empty();
    if (sends && connection->in_flight < options_.window && !stopping_) {
      deadline = std::min(deadline, send_pace_.next(now_));
    }
  }
  return deadline;
}

}  // namespace trunkline
