// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/trunk.h"

#include <algorithm>

#include "gateway/base/log.h"

namespace trunkline {

std::string_view to_string(Trunk::State state) {
  switch (state) {
    case Trunk::State::closed:
      return "closed";
    case Trunk::State::waiting:
      return "waiting";
    case Trunk::State::opening:
      return "opening";
    case Trunk::State::open:
      return "connected";
    case Trunk::State::ending:
      return "ending";
  }
  return "closed";
}

Trunk::Trunk(UplinkFactory& factory, Options options, std::uint64_t seed)
    : factory_(factory), options_(options), seed_(seed) {}

Trunk::Connection& Trunk::make() {
  const ConnectionSlot slot{static_cast<std::uint32_t>(connections_.size())};
  return *connections_.emplace_back(
      std::make_unique<Connection>(slot, factory_.uplink(slot), options_.reconnect, seed_ + slot.value));
}

bool Trunk::wanted(const Connection& connection) const {
  return !stopping_ && ((connection.slot.value == 0 && options_.keep_first) || connection.devices > 0);
}

bool Trunk::has_room(const Connection& connection) const {
  return !connection.full && connection.ever < options_.max_devices;
}

Trunk::Connection& Trunk::place(DeviceSlot device) {
  Connection* best = nullptr;
  for (auto& connection : connections_) {
    const bool counted = device.value < connection->counted.size() && connection->counted[device.value];
    if ((counted && !connection->full) || has_room(*connection)) {
      best = connection.get();
      break;
    }
  }
  if (best == nullptr) {
    best = &make();
    if (connections_.size() > 1) {
      log::info("uplink_added", {{"connection", best->slot.value}, {"devices_per_connection", options_.max_devices}});
    }
  }
  if (best->on.size() <= device.value) {
    best->on.resize(device.value + 1);
    best->counted.resize(device.value + 1);
  }
  if (!best->on[device.value]) {
    best->on[device.value] = true;
    ++best->devices;
    best->spare_at = kNever;
  }
  if (!best->counted[device.value]) {
    best->counted[device.value] = true;
    ++best->ever;
  }
  return *best;
}

void Trunk::leave(Connection& connection, DeviceSlot device) {
  if (device.value >= connection.on.size() || !connection.on[device.value]) return;
  connection.on[device.value] = false;
  --connection.devices;
}

void Trunk::on_ready(Connection& connection, SteadyTime now) {
  connection.state = State::open;
  connection.up = true;
  ++connection.opened;
  connection.settled_at = now;
  connection.busy_at = now;
  connection.settled = false;
}

void Trunk::on_lost(Connection& connection, LinkFault fault) {
  // What we asked for ourselves is no reason to wait.
  connection.retry_due = fault.kind != LinkFault::Kind::stopped && fault.kind != LinkFault::Kind::redirect;
  connection.state = wanted(connection) ? State::waiting : State::closed;
  connection.open_at = {};
  connection.up = false;
  if (fault.condition == "trunkline:cbs-stalled") ++connection.stalls;
  connection.fault = std::move(fault);
  connection.sends.clear();
  connection.in_flight = 0;
  connection.commands = 0;
  connection.counted = connection.on;
  connection.ever = connection.devices;
  connection.full = false;
}

void Trunk::rebuild(Connection& connection, LinkFault why) {
  if (connection.state != State::open) return;
  connection.state = State::ending;
  ++connection.stalls;
  connection.uplink.abort(std::move(why));
}

bool Trunk::healthy() const {
  return std::none_of(connections_.begin(), connections_.end(),
                      [this](const auto& connection) { return connection->stalls >= options_.health_after; });
}

void Trunk::stop() {
  stopping_ = true;
  for (auto& connection : connections_) {
    if (connection->state == State::waiting) connection->state = State::closed;
  }
}

void Trunk::close() {
  stop();
  for (auto& connection : connections_) {
    if (connection->state != State::open && connection->state != State::opening) continue;
    connection->state = State::ending;
    connection->uplink.close();
  }
}

bool Trunk::closed() const {
  return std::all_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->state == State::closed; });
}

// Some places are taken by devices that are gone, and there is no other place left.
bool Trunk::worn(const Connection& connection) const {
  return !has_room(connection) && connection.ever > connection.devices;
}

void Trunk::tick_open(Connection& connection, SteadyTime now) {
  if (connection.settled) {
    connection.settled = false;
    connection.settled_at = now;
    connection.busy_at = now;
    connection.stalls = 0;
  }
  if (connection.slot.value != 0 && connection.devices == 0 && connection.spare_at == kNever) {
    connection.spare_at = now + options_.spare_after;
  }
  const bool quiet =
      connection.in_flight == 0 && connection.commands == 0 && now - connection.busy_at >= options_.quiet;
  const bool renew = worn(connection) && (quiet || connection.devices == 0);
  const bool spare = connection.slot.value != 0 && connection.devices == 0 && now >= connection.spare_at;
  if (stopping_ || (!renew && !spare)) return;
  log::info(spare ? "uplink_spare_closed" : "uplink_renewed",
            {{"connection", connection.slot.value}, {"devices", connection.devices}, {"ever", connection.ever}});
  connection.spare_at = kNever;
  connection.state = State::ending;
  connection.uplink.close();
}

void Trunk::tick(Connection& connection, SteadyTime now) {
  if (connection.state == State::open) tick_open(connection, now);
  if (connection.state == State::closed && wanted(connection)) {
    connection.state = State::waiting;
    connection.open_at = now;
  }
  if (connection.state != State::waiting) return;
  if (!wanted(connection)) {
    connection.state = State::closed;
    return;
  }
  if (connection.retry_due) {
    connection.retry_due = false;
    connection.open_at =
        now + std::max(connection.reconnect.next(), connection.fault.retry_after.value_or(Milliseconds(0)));
    log::info("uplink_retry_scheduled",
              {{"connection", connection.slot.value},
               {"in_ms", std::chrono::duration_cast<Milliseconds>(connection.open_at - now).count()},
               {"attempt", connection.reconnect.attempt()}});
  }
  if (now < connection.open_at) return;
  connection.state = State::opening;
  connection.uplink.open();
}

SteadyTime Trunk::deadline(const Connection& connection) const {
  if (connection.state == State::waiting) return connection.open_at;
  if (connection.state == State::closed) return wanted(connection) ? SteadyTime{} : kNever;
  if (connection.state != State::open) return kNever;
  auto out = connection.spare_at;
  if (worn(connection) && connection.in_flight == 0 && connection.commands == 0) {
    out = std::min(out, connection.busy_at + options_.quiet);
  }
  return out;
}

SteadyTime Trunk::tick(SteadyTime now) {
  if (connections_.empty() && !stopping_) make();
  auto out = kNever;
  for (std::size_t i = 0; i < connections_.size(); ++i) tick(*connections_[i], now);
  for (const auto& connection : connections_) out = std::min(out, deadline(*connection));
  return out;
}

}  // namespace trunkline
