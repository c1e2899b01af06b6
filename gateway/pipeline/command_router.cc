// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/command_router.h"

#include <utility>

#include "gateway/base/log.h"

namespace trunkline {
namespace {

// A redelivery comes within a lock's life, or after a lost connection or restart: so many are behind it at most.
constexpr std::size_t kMaxKnown = 100'000;

CommandKey key_of(DeviceSlot slot, std::uint64_t sequence, std::optional<WallTime> enqueued, const std::string& id) {
  return {slot, sequence, enqueued.value_or(WallTime{}), id};
}

}  // namespace

CommandRouter::CommandRouter(Ports ports, const Clock& clock, Metrics& metrics)
    : ports_(std::move(ports)),
      clock_(clock),
      received_(metrics.metric("commands_received_total", "Command deliveries from the hub")),
      accepted_(metrics.metric("commands_settled_total", "Commands settled at the hub", "outcome=\"accepted\"")),
      rejected_(metrics.metric("commands_settled_total", "Commands settled at the hub", "outcome=\"rejected\"")),
      released_(metrics.metric("commands_settled_total", "Commands settled at the hub", "outcome=\"released\"")),
      repeated_(metrics.metric("commands_repeated_total",
                               "Redeliveries answered by the outcome that was committed before")) {}

void CommandRouter::remember(DeviceSlot slot, const CommandRecord& record) {
  keep(key_of(slot, record.sequence, record.enqueued, record.id), record.outcome);
}

void CommandRouter::keep(const CommandKey& key, const Outcome& outcome) {
  if (!known_.insert_or_assign(key, outcome).second) return;
  order_.push_back(key);
  if (order_.size() <= kMaxKnown) return;
  known_.erase(order_.front());
  order_.pop_front();
}

void CommandRouter::on_command(DeviceSlot slot, Command command, CommandTag tag) {
  received_.add();
  const auto key = key_of(slot, command.sequence, command.enqueued, command.id);
  if (const auto known = known_.find(key); known != known_.end()) {
    repeated_.add();
    log::info(
        "command_repeated",
        {{"device", command.device.text()}, {"msg", command.sequence}, {"outcome", to_string(known->second.kind)}});
    const auto outcome = known->second;
    ports_.settle(tag, outcome);
    ports_.finished(slot, outcome.kind);
    return;
  }
  if (const auto active = active_.find(key); active != active_.end()) {
    // The device still works on it; its outcome goes to the newest delivery, the older one is lost to the hub already.
    active->second.tag = tag;
    return;
  }
  active_.emplace(key, Active{tag, command.device});
  if (command.expires && *command.expires <= clock_.wall()) {
    on_outcome(key, Outcome::rejected("trunkline:expired", "the command expired before it reached the device"));
    return;
  }
  log::info("command_received",
            {{"device", command.device.text()}, {"msg", command.sequence}, {"attempt", command.delivery_count}});
  if (ports_.keeps(slot)) return take(key, std::move(command));
  ports_.deliver(slot, std::move(command), Completion<Outcome>([this, key](Outcome outcome) {
                   ports_.post([this, key, outcome = std::move(outcome)] { on_outcome(key, outcome); });
                 }));
}

void CommandRouter::take(const CommandKey& key, Command command) {
  CommandRecord record{command.device, key.sequence, key.enqueued, key.id, Outcome::accepted(), clock_.wall()};
  ports_.keep(key.slot, std::move(command), std::move(record), Completion<Outcome>([this, key](Outcome outcome) {
                ports_.post([this, key, outcome = std::move(outcome)] { on_kept(key, outcome); });
              }));
}

void CommandRouter::on_kept(const CommandKey& key, const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::accepted) keep(key, outcome);
  settle(key, outcome);
}

void CommandRouter::on_outcome(const CommandKey& key, Outcome outcome) {
  const auto active = active_.find(key);
  if (active == active_.end()) return;
  // Only a final outcome is remembered; a released command is meant to come again.
  if (outcome.kind != Outcome::Kind::accepted && outcome.kind != Outcome::Kind::rejected) {
    settle(key, outcome);
    return;
  }
  CommandRecord record{active->second.device, key.sequence, key.enqueued, key.id, outcome, clock_.wall()};
  ports_.record(std::move(record), Completion<Recorded>([this, key, outcome](Recorded recorded) {
                  ports_.post([this, key, outcome, recorded] { on_recorded(key, outcome, recorded); });
                }));
}

void CommandRouter::on_recorded(const CommandKey& key, Outcome outcome, Recorded recorded) {
  if (!recorded.durable) {
    // The gateway is stopping: the hub's lock runs out and the command comes again after the restart.
    active_.erase(key);
    return;
  }
  keep(key, outcome);
  settle(key, outcome);
}

void CommandRouter::settle(const CommandKey& key, const Outcome& outcome) {
  const auto active = active_.find(key);
  if (active == active_.end()) return;
  switch (outcome.kind) {
    case Outcome::Kind::accepted:
      accepted_.add();
      break;
    case Outcome::Kind::rejected:
      rejected_.add();
      break;
    default:
      released_.add();
      break;
  }
  log::info("command_settled", {{"device", active->second.device.text()},
                                {"msg", key.sequence},
                                {"outcome", to_string(outcome.kind)},
                                {"text", outcome.description}});
  ports_.settle(active->second.tag, outcome);
  active_.erase(active);
  ports_.finished(key.slot, outcome.kind);
}

}  // namespace trunkline
