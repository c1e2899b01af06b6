// SPDX-License-Identifier: Apache-2.0
// The part of the multiplexer for what comes from the hub: command credit follows presence and pace (C-02), methods and
// twins only pass through.
#include <algorithm>
#include <array>
#include <utility>

#include "gateway/pipeline/multiplexer.h"

namespace trunkline {
namespace {

// After a release a command waits this long for new credit: each release spends one of the hub's ten deliveries (C-02).
constexpr std::array<Milliseconds, 3> kCreditDelays{Milliseconds(1000), Milliseconds(5000), Milliseconds(30'000)};

}  // namespace

void Multiplexer::presence(const DeviceId& id, Presence presence) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return;
  auto& device = at(found->second);
  if (device.presence == presence) return;
  device.presence = presence;
  // A device that comes back is served at once, but not one that goes with every command: each costs a delivery.
  if (presence == Presence::reachable && device.releases + (device.credit_due ? 1 : 0) <= 1) {
    if (std::exchange(device.credit_due, false)) ++device.releases;
    device.credit_at = {};
  }
  touch(device);
}

void Multiplexer::on_command(DeviceSlot slot, Command command, CommandTag tag) {
  auto& device = at(slot);
  if (device.granted > 0) --device.granted;
  ++device.outstanding;
  if (device.connection != nullptr) ++device.connection->commands;
  command.deadline = std::min(command.deadline, now_ + device.options.command_timeout);
  sinks_.commands.on_command(slot, std::move(command), tag);
  touch(device);
}

void Multiplexer::command_finished(DeviceSlot slot, Outcome::Kind kind) {
  auto& device = at(slot);
  if (device.outstanding > 0) {
    --device.outstanding;
    if (device.connection != nullptr && device.connection->commands > 0) --device.connection->commands;
  }
  if (device.connection != nullptr) device.connection->busy_at = now_;
  if (kind == Outcome::Kind::released) {
    device.credit_due = true;
  } else {
    device.releases = 0;
  }
  touch(device);
}

void Multiplexer::commands_full(DeviceSlot slot, bool full) {
  auto& device = at(slot);
  device.commands_full = full;
  // What was released for lack of room need not wait longer than for that.
  if (!full) device.credit_at = {};
  touch(device);
}

void Multiplexer::grant(DeviceSession& device) {
  if (!device.link(DeviceLink::commands).attached) return;
  if (device.credit_due) {
    device.credit_due = false;
    device.credit_at = now_ + kCreditDelays[std::min<std::size_t>(device.releases, kCreditDelays.size() - 1)];
    ++device.releases;
  }
  unsigned wanted = 0;
  const bool takes = device.options.stored ? !device.commands_full : device.presence == Presence::reachable;
  if (takes && device.outstanding == 0 && !stopping_) {
    if (now_ >= device.credit_at) {
      wanted = 1;
    } else {
      wake_at(device.credit_at, device);
    }
  }
  if (wanted == device.granted) return;
  device.granted = wanted;
  device.connection->uplink.grant_commands(device.slot, wanted);
}

void Multiplexer::settle(CommandTag tag, const Outcome& outcome) {
  trunk_.at(tag.connection).uplink.settle(tag, outcome);
}

void Multiplexer::on_method(DeviceSlot slot, MethodCall call, MethodTag tag) {
  auto& device = at(slot);
  if (device.connection != nullptr) device.connection->busy_at = now_;
  sinks_.methods.on_method(slot, std::move(call), tag);
}

void Multiplexer::respond(MethodTag tag, const MethodResponse& response) {
  trunk_.at(tag.connection).uplink.respond(tag, response);
}

void Multiplexer::on_twin_answer(DeviceSlot slot, TwinAnswer answer) {
  sinks_.twins.on_twin_answer(slot, std::move(answer));
}

void Multiplexer::on_desired(DeviceSlot slot, std::string patch) {
  sinks_.twins.on_desired(slot, std::move(patch));
}

bool Multiplexer::ask_twin(DeviceSlot slot, const TwinRequest& request) {
  auto& device = at(slot);
  return device.connection != nullptr && device.connection->state == Trunk::State::open &&
         device.connection->uplink.ask_twin(slot, request);
}

}  // namespace trunkline
