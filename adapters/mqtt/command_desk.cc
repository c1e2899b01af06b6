// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/command_desk.h"

#include <algorithm>

#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/mapping/method_answer.h"

namespace trunkline::mqtt {

namespace {

// The hub gives a device credit for what it can finish within a lock's life, so more than this is a fault upstream.
constexpr std::size_t kMaxWaiting = 32;
constexpr std::size_t kRememberedIds = 8;

}  // namespace

CommandDesk::CommandDesk(std::vector<CommandDone> done_when, std::vector<bool> by_report)
    : done_when_(std::move(done_when)), by_report_(std::move(by_report)) {
  by_report_.resize(done_when_.size());
}

void CommandDesk::set_device(std::size_t device, CommandDone done_when, bool by_report) {
  if (done_when_.size() <= device) done_when_.resize(device + 1);
  by_report_.resize(done_when_.size());
  done_when_[device] = done_when;
  by_report_[device] = by_report;
}

// What says that the outstanding command of the device is done.
CommandDone CommandDesk::done_by(std::size_t device) const {
  switch (lines_.at(device).outstanding->kind) {
    case CommandKind::message:
      return done_when_[device];
    case CommandKind::method:
      return CommandDone::replied;
    case CommandKind::desired:
      return by_report_[device] ? CommandDone::replied : CommandDone::acknowledged;
  }
  return CommandDone::replied;
}

void CommandDesk::deliver(std::size_t device, Command command, Completion<Outcome> done) {
  auto& line = lines_[device];
  if (line.waiting.size() >= kMaxWaiting) {
    done(Outcome::busy("too many commands wait for this device"));
    return;
  }
  line.waiting.push_back({std::move(command), std::move(done)});
  ++commands_;
  start_next(device);
}

void CommandDesk::handed(std::uint64_t ticket) {
  const auto device = device_of(ticket);
  if (device && done_by(*device) == CommandDone::written) finish(*device, Outcome::accepted());
}

void CommandDesk::acknowledged(std::uint64_t ticket) {
  const auto device = device_of(ticket);
  if (device && done_by(*device) == CommandDone::acknowledged) finish(*device, Outcome::accepted());
}

void CommandDesk::failed(std::uint64_t ticket, const Outcome& why) {
  if (const auto device = device_of(ticket)) finish(*device, why);
}

ReplyVerdict CommandDesk::reply(std::size_t device, const Reply& reply) {
  auto& line = lines_[device];
  std::optional<std::string> outstanding;
  if (line.outstanding && line.outstanding->kind == reply.to) outstanding = line.outstanding->wire_id;
  const auto verdict = match_reply(reply, outstanding, line.ended);
  if (reply.to == CommandKind::method) {
    line.names = line.names || names_itself(reply);
    if (!outstanding && line.quiet_until != SteadyTime{}) {
      line.quiet_until = {};
      start_next(device);
      return ReplyVerdict::late;
    }
  }
  if (verdict != ReplyVerdict::done) return verdict;
  // Where PUBACK or the write counts, a reply says no less than those do.
  finish(device, reply.to == CommandKind::method ? Outcome::answered(read_answer(reply.payload)) : Outcome::accepted());
  return verdict;
}

void CommandDesk::reported(std::size_t device, std::string_view patch) {
  const auto found = lines_.find(device);
  if (found == lines_.end() || !found->second.outstanding) return;
  auto& outstanding = *found->second.outstanding;
  if (outstanding.kind != CommandKind::desired || !by_report_[device]) return;
  const auto said = read_json(patch);
  const auto missing = read_json(outstanding.missing);
  if (!said || !missing || !said->is_object() || !missing->is_object()) return;
  const auto left = needed_part(missing->get_object(), said->get_object());
  if (left.empty()) {
    finish(device, Outcome::accepted());
  } else {
    outstanding.missing = json_text(left);
  }
}

void CommandDesk::release_device(std::size_t device, std::string_view why) {
  const auto found = lines_.find(device);
  if (found == lines_.end()) return;
  // Emptied first, so that finish finds nothing to start.
  auto waiting = std::exchange(found->second.waiting, {});
  commands_ -= waiting.size();
  if (found->second.outstanding) finish(device, Outcome::away(std::string(why)));
  for (auto& command : waiting) command.done(Outcome::away(std::string(why)));
}

void CommandDesk::release_all(std::string_view why) {
  if (empty()) return;
  std::vector<std::size_t> devices;
  for (const auto& [device, line] : lines_) devices.push_back(device);
  for (const auto device : devices) release_device(device, why);
}

SteadyTime CommandDesk::tick(SteadyTime now) {
  now_ = now;
  if (empty()) return kNever;
  SteadyTime next = kNever;
  for (auto& [device, line] : lines_) {
    for (auto it = line.waiting.begin(); it != line.waiting.end();) {
      if (it->command.deadline > now) {
        next = std::min(next, it->command.deadline);
        ++it;
        continue;
      }
      auto done = std::move(it->done);
      it = line.waiting.erase(it);
      --commands_;
      done(Outcome::released("its turn did not come in time"));
    }
    // The one that takes its place has a deadline that is counted above already.
    if (line.outstanding && line.outstanding->deadline <= now) {
      if (line.outstanding->kind == CommandKind::method && !line.names) line.quiet_until = now + kLateReply;
      finish(device, Outcome::released("the device did not answer in time"));
    } else if (line.outstanding) {
      next = std::min(next, line.outstanding->deadline);
    }
    if (line.outstanding || line.waiting.empty()) continue;
    if (must_wait(line, now)) {
      next = std::min(next, line.quiet_until);
    } else {
      start_next(device);
      next = std::min(next, line.outstanding->deadline);
    }
  }
  return next;
}

std::vector<PublishOrder> CommandDesk::take_orders() {
  return std::exchange(orders_, {});
}

void CommandDesk::finish(std::size_t device, const Outcome& outcome) {
  auto& line = lines_[device];
  auto ended = std::move(*line.outstanding);
  line.outstanding.reset();
  tickets_.erase(ended.ticket);
  --commands_;
  ended.withdrawn->store(true, std::memory_order_release);
  line.ended.push_back(std::move(ended.wire_id));
  if (line.ended.size() > kRememberedIds) line.ended.erase(line.ended.begin());
  ended.done(outcome);
  start_next(device);
}

bool CommandDesk::must_wait(const Line& line, SteadyTime now) {
  return line.waiting.front().command.kind == CommandKind::method && now < line.quiet_until;
}

void CommandDesk::start_next(std::size_t device) {
  auto& line = lines_[device];
  if (line.outstanding || line.waiting.empty() || must_wait(line, now_)) return;
  line.quiet_until = {};
  auto next = std::move(line.waiting.front());
  line.waiting.pop_front();
  auto withdrawn = std::make_shared<std::atomic<bool>>(false);
  const auto ticket = next_ticket_++;
  line.outstanding = Outstanding{ticket,
                                 next.command.wire_id(),
                                 next.command.kind,
                                 next.command.kind == CommandKind::desired ? next.command.body : std::string(),
                                 next.command.deadline,
                                 std::move(next.done),
                                 withdrawn};
  // A hub redelivers a released command under the same sequence; its reply is not late.
  std::erase(line.ended, line.outstanding->wire_id);
  tickets_[ticket] = device;
  orders_.push_back({ticket, device, std::move(next.command), std::move(withdrawn)});
}

std::optional<std::size_t> CommandDesk::device_of(std::uint64_t ticket) const {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return std::nullopt;
  return found->second;
}

}  // namespace trunkline::mqtt
