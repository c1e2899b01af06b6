// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/command_keeper.h"

#include <algorithm>
#include <utility>

#include "gateway/base/lazy_queue.h"
#include "gateway/base/log.h"

namespace trunkline {
namespace {

constexpr Backoff::Limits kRetry{Milliseconds(1'000), Milliseconds(2'000), Milliseconds(60'000)};
// How long a jump of the wall clock may go unseen by an expiry.
constexpr Milliseconds kLook{60'000};

Metric& ended_metric(Metrics& metrics, const char* fate) {
  return metrics.metric("commands_kept_ended_total",
                        "Commands that left the gateway's own care, by what became of them",
                        std::string("fate=\"") + fate + "\"");
}

}  // namespace

struct CommandKeeper::Line {
  struct Entry {
    KeptCommand kept;
    std::uint64_t bytes = 0;
    Completion<Outcome> taken{};  // owed until it is committed
    bool durable = false;
  };
  Line(DeviceSlot own, DeviceId name, const Limits& most, std::uint64_t seed)
      : slot(own), device(std::move(name)), limits(most), retry(kRetry, seed) {}

  auto find(std::uint64_t number) {
    return std::find_if(entries.begin(), entries.end(),
                        [number](const Entry& one) { return one.kept.number == number; });
  }

  DeviceSlot slot;
  DeviceId device;
  Limits limits;
  LazyQueue<Entry> entries;  // in order; those that are not durable yet are behind
  std::uint64_t bytes = 0;
  bool full = false;
  bool refused = false;      // something did not fit, and nothing has left since
  std::uint64_t active = 0;  // number of the one that its device has now
  std::uint64_t ending = 0;  // number of the one whose end is being committed
  bool retrying = false;     // the first one waits for retry_at
  SteadyTime retry_at{};
  SteadyTime tried_at{};  // when the last attempt ended
  Backoff retry;
  std::string fault;
  bool touched = false;
  SteadyTime timer = kNever;
};

CommandKeeper::CommandKeeper(Ports ports, const Clock& clock, Metrics& metrics, std::uint64_t seed)
    : ports_(std::move(ports)),
      clock_(clock),
      now_(clock.steady()),
      wall_(clock.wall()),
      seed_(seed),
      taken_(metrics.metric("commands_kept_taken_total", "Commands taken into the gateway's own care")),
      refused_(
          metrics.metric("commands_kept_refused_total", "Commands released because there was no room to keep them")),
      delivered_(ended_metric(metrics, "delivered")),
      expired_(ended_metric(metrics, "expired")),
      failed_(ended_metric(metrics, "failed")),
      attempts_(metrics.metric("commands_kept_attempts_total", "Kept commands given to devices, repeats included")),
      kept_(metrics.metric("commands_kept", "Commands in the gateway's own care")) {}

CommandKeeper::~CommandKeeper() = default;

void CommandKeeper::add(DeviceSlot slot, const DeviceId& device, const Limits& limits) {
  // Another map: what is in our care stays there.
  if (auto* known = find(slot)) {
    known->limits = limits;
    known->refused = false;
    known->full = is_full(*known);
    // Said again even if it is as it was: the session may have begun anew.
    ports_.full(slot, known->full);
    touch(*known);
    return;
  }
  if (lines_.size() <= slot.value) lines_.resize(slot.value + 1);
  lines_[slot.value] = std::make_unique<Line>(slot, device, limits, seed_ + slot.value);
}

void CommandKeeper::restore(DeviceSlot slot, KeptCommand kept) {
  auto* line = find(slot);
  if (line == nullptr) return;
  next_number_ = std::max(next_number_, kept.number + 1);
  const auto bytes = kept.footprint();
  line->bytes += bytes;
  line->entries.push_back({std::move(kept), bytes, {}, true});
  kept_.set(kept_.value() + 1);
  show_full(*line);
  touch(*line);
}

bool CommandKeeper::takes(DeviceSlot slot) const {
  const auto* line = find(slot);
  return line != nullptr && line->limits.takes;
}

void CommandKeeper::take(DeviceSlot slot, Command command, CommandRecord record, Completion<Outcome> done) {
  auto& line = *find(slot);
  const auto wall = clock_.wall();
  const auto latest = wall + line.limits.keep;
  command.expires = std::min(command.expires.value_or(latest), latest);
  command.deadline = kNever;
  KeptCommand kept{next_number_, std::move(command)};
  const auto bytes = kept.footprint();
  const bool fits =
      line.entries.empty() || (line.entries.size() < line.limits.commands && line.bytes + bytes <= line.limits.bytes);
  if (!fits || !ports_.reserve(bytes)) {
    refused_.add();
    line.refused = !line.entries.empty();
    show_full(line);
    log::warning("command_not_kept", {{"device", line.device.text()},
                                      {"msg", kept.command.sequence},
                                      {"reason", fits ? "the gateway has no room" : "the device's room is full"},
                                      {"kept", line.entries.size()}});
    done(Outcome::released(fits ? "the gateway has no room to keep it"
                                : "as many commands as may wait for this device"));
    return;
  }
  ++next_number_;
  line.bytes += bytes;
  const auto number = kept.number;
  TakenCommand taken{kept, std::move(record)};
  line.entries.push_back({std::move(kept), bytes, std::move(done), false});
  show_full(line);
  ports_.note(std::move(taken), Completion<Recorded>([this, slot, number](Recorded recorded) {
                ports_.post([this, slot, number, recorded] { on_taken(slot, number, recorded.durable); });
              }));
}

void CommandKeeper::on_taken(DeviceSlot slot, std::uint64_t number, bool durable) {
  auto& line = *find(slot);
  const auto entry = line.find(number);
  if (entry == line.entries.end()) return;
  auto done = std::move(entry->taken);
  if (!durable) {
    // The gateway is stopping; the hub keeps it.
    const auto bytes = entry->bytes;
    line.entries.erase(entry);
    leave(line, bytes);
    done(Outcome::released("the gateway is stopping"));
    return;
  }
  entry->durable = true;
  taken_.add();
  kept_.set(kept_.value() + 1);
  log::info("command_kept", {{"device", line.device.text()},
                             {"msg", entry->kept.command.sequence},
                             {"kept", line.entries.size()},
                             {"until", to_rfc3339(*entry->kept.command.expires)}});
  done(Outcome::accepted());
  touch(line);
}

void CommandKeeper::presence(DeviceSlot slot, Presence presence) {
  auto* line = find(slot);
  if (line == nullptr || presence != Presence::reachable) return;
  line->retry.reset();
  line->retry_at = {};
  touch(*line);
}

void CommandKeeper::heard(DeviceSlot slot) {
  auto* line = find(slot);
  if (line == nullptr || !line->retrying) return;
  line->retry_at = std::min(line->retry_at, line->tried_at + kRetry.floor);
  touch(*line);
}

void CommandKeeper::touch(Line& line) {
  if (std::exchange(line.touched, true)) return;
  touched_.push_back(line.slot);
}

void CommandKeeper::wake_at(SteadyTime deadline, Line& line) {
  if (deadline >= line.timer) return;
  if (line.timer != kNever) timers_.erase({line.timer, line.slot.value});
  line.timer = deadline;
  timers_.emplace(deadline, line.slot.value);
}

void CommandKeeper::advance(Line& line) {
  if (line.entries.empty() || line.active != 0 || line.ending != 0) return;
  auto left = std::chrono::duration_cast<SteadyTime::duration>(kLook);
  for (const auto& entry : line.entries) {
    if (!entry.durable) break;
    const auto own = *entry.kept.command.expires - wall_;
    if (own <= Milliseconds(0)) return end(line, entry.kept.number, EndedCommand::Fate::expired);
    left = std::min<SteadyTime::duration>(left, own);
  }
  if (!line.entries.front().durable) return;
  if (!ports_.reachable(line.slot)) {
    if (line.fault.empty()) line.fault = "the device is away";
    wake_at(now_ + left, line);
  } else if (now_ < line.retry_at) {
    wake_at(std::min(now_ + left, line.retry_at), line);
  } else {
    deliver_first(line);
  }
}

void CommandKeeper::deliver_first(Line& line) {
  set_retrying(line, false);
  const auto& kept = line.entries.front().kept;
  auto command = kept.command;
  const auto left = std::chrono::duration_cast<Milliseconds>(*command.expires - wall_);
  command.deadline = now_ + std::min(line.limits.timeout, left);
  line.active = kept.number;
  attempts_.add();
  ports_.deliver(
      line.slot, std::move(command),
      Completion<Outcome>([this, slot = line.slot, number = kept.number](Outcome outcome) {
        ports_.post([this, slot, number, outcome = std::move(outcome)] { on_outcome(slot, number, outcome); });
      }));
}

void CommandKeeper::on_outcome(DeviceSlot slot, std::uint64_t number, const Outcome& outcome) {
  auto& line = *find(slot);
  if (line.active != number) return;
  line.active = 0;
  const auto& command = line.entries.front().kept.command;
  if (outcome.kind == Outcome::Kind::accepted) {
    line.fault.clear();
    line.retry.reset();
    return end(line, number, EndedCommand::Fate::delivered);
  }
  if (outcome.kind == Outcome::Kind::rejected) {
    // Its service was told that it is in our care, so nobody but the operator learns of this.
    if (*command.expires <= clock_.wall()) return end(line, number, EndedCommand::Fate::expired);
    line.fault = "a command failed: " + outcome.description;
    log::error("kept_command_failed", {{"device", line.device.text()},
                                       {"msg", command.sequence},
                                       {"id", command.id},
                                       {"error", outcome.condition},
                                       {"text", outcome.description}});
    return end(line, number, EndedCommand::Fate::failed);
  }
  line.fault = outcome.description;
  line.tried_at = clock_.steady();
  line.retry_at = line.tried_at + line.retry.next();
  set_retrying(line, true);
  touch(line);
}

void CommandKeeper::end(Line& line, std::uint64_t number, EndedCommand::Fate fate) {
  line.ending = number;
  set_retrying(line, false);
  ports_.note(EndedCommand{line.device, number, fate},
              Completion<Recorded>([this, slot = line.slot, number, fate](Recorded recorded) {
                // Not durable: the gateway is stopping, and the next run delivers it once more.
                if (!recorded.durable) return;
                ports_.post([this, slot, number, fate] { on_ended(slot, number, fate); });
              }));
}

void CommandKeeper::on_ended(DeviceSlot slot, std::uint64_t number, EndedCommand::Fate fate) {
  auto& line = *find(slot);
  const auto entry = line.find(number);
  if (line.ending != number || entry == line.entries.end()) return;
  const bool delivered = fate == EndedCommand::Fate::delivered;
  const bool expired = fate == EndedCommand::Fate::expired;
  log::info("kept_command_ended", {{"device", line.device.text()},
                                   {"msg", entry->kept.command.sequence},
                                   {"fate", delivered ? "delivered"
                                            : expired ? "expired"
                                                      : "failed"}});
  (delivered ? delivered_ : expired ? expired_ : failed_).add();
  kept_.set(kept_.value() - 1);
  const auto bytes = entry->bytes;
  if (entry == line.entries.begin()) line.retry_at = {};
  line.entries.erase(entry);
  line.ending = 0;
  leave(line, bytes);
  if (line.entries.empty() && fate != EndedCommand::Fate::failed) line.fault.clear();
  touch(line);
}

void CommandKeeper::leave(Line& line, std::uint64_t bytes) {
  line.bytes -= bytes;
  line.refused = false;
  ports_.give_back(bytes);
  show_full(line);
}

bool CommandKeeper::is_full(const Line& line) {
  return line.refused || line.entries.size() >= line.limits.commands || line.bytes >= line.limits.bytes;
}

void CommandKeeper::show_full(Line& line) {
  const bool full = is_full(line);
  if (full == line.full) return;
  line.full = full;
  ports_.full(line.slot, full);
}

void CommandKeeper::set_retrying(Line& line, bool retrying) {
  if (line.retrying == retrying) return;
  line.retrying = retrying;
  retrying ? ++retrying_ : --retrying_;
}

SteadyTime CommandKeeper::tick(SteadyTime now, WallTime wall) {
  now_ = now;
  wall_ = wall;
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    auto& line = *lines_[timers_.begin()->second];
    timers_.erase(timers_.begin());
    line.timer = kNever;
    touch(line);
  }
  for (const auto slot : std::exchange(touched_, {})) {
    auto& line = *find(slot);
    line.touched = false;
    advance(line);
  }
  if (!touched_.empty()) return now_;
  return timers_.empty() ? kNever : timers_.begin()->first;
}

CommandKeeper::Status CommandKeeper::status(DeviceSlot slot) const {
  const auto* line = find(slot);
  if (line == nullptr) return {};
  return {line->limits.takes, line->entries.size(), line->bytes, line->fault};
}

}  // namespace trunkline
