// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/multiplexer.h"

#include <algorithm>

#include "gateway/base/check.h"
#include "gateway/base/log.h"

namespace trunkline {

std::string_view to_string(SessionState state) {
  switch (state) {
    case SessionState::idle:
      return "idle";
    case SessionState::queued:
      return "queued";
    case SessionState::authorising:
      return "authorising";
    case SessionState::ready:
      return "ready";
    case SessionState::backing_off:
      return "backing_off";
    case SessionState::quarantined:
      return "quarantined";
    case SessionState::disabled:
      return "disabled";
  }
  return "idle";
}

Multiplexer::Multiplexer(Uplink& uplink, StoreRequests& store, const TokenProvider& tokens, CommandSink& commands,
                         Metrics& metrics, Options options, std::uint64_t seed)
    : uplink_(uplink),
      store_(store),
      tokens_(tokens),
      command_sink_(commands),
      options_(options),
      reconnect_(options.connection, seed),
      random_(seed),
      accepted_(metrics.metric("uplink_accepted_total", "Messages the hub accepted")),
      rejected_(metrics.metric("uplink_rejected_total", "Messages the hub rejected")),
      released_(metrics.metric("uplink_released_total", "Outcomes released; the message is sent again")),
      modified_(metrics.metric("uplink_modified_total", "Outcomes modified")),
      requeued_(
          metrics.metric("uplink_requeued_total", "Unsettled messages offered again after a lost link or connection")),
      sent_(metrics.metric("uplink_sent_total", "Transfers sent to the hub, repeats included")),
      connects_(metrics.metric("uplink_connections_total", "Connections to the hub that were opened")),
      losses_(metrics.metric("uplink_losses_total", "Connections to the hub, or attempts at one, that ended")),
      refusals_(metrics.metric("device_refusals_total", "Tokens that the hub refused")),
      detaches_(metrics.metric("device_detaches_total", "Links that the hub refused or ended")),
      connected_(metrics.metric("uplink_connected", "1 while the connection to the hub is open")) {}

DeviceSlot Multiplexer::add(const DeviceId& device, unsigned max_in_flight, bool takes_commands, bool backlog) {
  const DeviceSlot slot{static_cast<std::uint32_t>(devices_.size())};
  auto& made =
      *devices_.emplace_back(std::make_unique<DeviceSession>(device, slot, max_in_flight, takes_commands, random_()));
  made.backlog = backlog;
  slots_.emplace(device, slot);
  is_touched_.push_back(false);
  touch(made);
  return slot;
}

DeviceSession& Multiplexer::at(DeviceSlot slot) {
  return *devices_.at(slot.value);
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

// Telemetry, from intake to the wire.

void Multiplexer::offer(MessagePtr message) {
  const auto found = slots_.find(message->telemetry.device);
  TRUNKLINE_CHECK(found != slots_.end(), "every message belongs to a mapped device");
  auto& device = at(found->second);
  if (message->position <= device.tail) return;  // read from the spool before its live copy came by
  const auto bytes = message->footprint();
  if (device.backlog || device.waiting_bytes + bytes > options_.device_memory || memory_ + bytes > options_.memory) {
    device.missed = message->position;
    device.backlog = true;
    touch(device);
    return;
  }
  device.tail = message->position;
  device.waiting_bytes += bytes;
  memory_ += bytes;
  device.waiting.push_back({std::move(message), 0});
  if (device.state == SessionState::ready && device.telemetry.attached) {
    list(device);
  } else {
    touch(device);
  }
}

void Multiplexer::missed(const DeviceId& id, Position newest) {
  const auto found = slots_.find(id);
  TRUNKLINE_CHECK(found != slots_.end(), "every message belongs to a mapped device");
  auto& device = at(found->second);
  device.missed = std::max(device.missed, newest);
  device.backlog = true;
  touch(device);
}

void Multiplexer::on_batch(ReadAnswer answer) {
  auto& device = at(answer.slot);
  device.reading = false;
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
  device.backlog = answer.more || device.missed > device.tail;
  touch(device);
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
  store_.read({device.slot, device.id, device.tail, kBatch, options_.device_memory / 2});
}

bool Multiplexer::may_send(const DeviceSession& device) {
  return device.state == SessionState::ready && device.telemetry.attached && !device.blocked && !device.held &&
         !device.waiting.empty() && device.in_flight.size() < device.max_in_flight;
}

void Multiplexer::list(DeviceSession& device) {
  if (device.listed || !may_send(device)) return;
  device.listed = true;
  ring_.push_back(device.slot);
}

void Multiplexer::send_round() {
  if (stopping_) return;
  while (!ring_.empty() && in_flight_ < options_.window) {
    auto& device = at(ring_.front());
    ring_.pop_front();
    device.listed = false;
    if (!may_send(device)) continue;
    switch (uplink_.send(device.slot, device.waiting.front().message)) {
      case Uplink::SendResult::sent: {
        auto entry = std::move(device.waiting.front());
        device.waiting.pop_front();
        const auto bytes = entry.message->footprint();
        device.waiting_bytes -= bytes;
        memory_ -= bytes;
        device.in_flight.push_back(std::move(entry));
        ++in_flight_;
        sent_.add();
        list(device);
        refill(device);
        break;
      }
      case Uplink::SendResult::no_credit:
      case Uplink::SendResult::blocked:
        device.blocked = true;
        break;
      case Uplink::SendResult::detached:
        device.telemetry.attached = false;
        break;
    }
  }
}

void Multiplexer::on_sendable(DeviceSlot slot) {
  auto& device = at(slot);
  device.blocked = false;
  list(device);
}

void Multiplexer::on_outcome(DeviceSlot slot, Position position, Outcome outcome) {
  auto& device = at(slot);
  const auto found = std::find_if(device.in_flight.begin(), device.in_flight.end(),
                                  [position](const auto& entry) { return entry.message->position == position; });
  if (found == device.in_flight.end()) return;  // of a link that ended meanwhile
  auto entry = std::move(*found);
  device.in_flight.erase(found);
  --in_flight_;
  switch (outcome.kind) {
    case Outcome::Kind::accepted:
      accepted_.add();
      ++device.accepted;
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
      retry_later(device, std::move(entry));
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
        retry_later(device, std::move(entry));
      }
      break;
  }
  list(device);
  refill(device);
}

void Multiplexer::retry_later(DeviceSession& device, DeviceSession::Entry entry) {
  const auto bytes = entry.message->footprint();
  device.waiting_bytes += bytes;
  memory_ += bytes;
  const auto place = std::upper_bound(
      device.waiting.begin(), device.waiting.end(), entry.message->position,
      [](Position position, const DeviceSession::Entry& other) { return position < other.message->position; });
  device.waiting.insert(place, std::move(entry));
  if (!device.held) device.hold_until = kNever;
  device.held = true;
  touch(device);
}

void Multiplexer::back_to_waiting(DeviceSession& device) {
  if (device.in_flight.empty()) return;
  requeued_.add(device.in_flight.size());
  in_flight_ -= device.in_flight.size();
  for (auto& entry : device.in_flight) {
    const auto bytes = entry.message->footprint();
    device.waiting_bytes += bytes;
    memory_ += bytes;
    device.waiting.push_back(std::move(entry));
  }
  device.in_flight.clear();
  std::sort(device.waiting.begin(), device.waiting.end(),
            [](const auto& a, const auto& b) { return a.message->position < b.message->position; });
}

}  // namespace trunkline
