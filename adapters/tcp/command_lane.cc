// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/command_lane.h"

#include <algorithm>
#include <utility>

namespace trunkline::tcp {

namespace {

constexpr std::string_view kTooOld = "the command is too old to be sent";

}  // namespace

Result<CommandLane> CommandLane::make(const DeviceMap& map) {
  CommandLane out(map);
  if (auto done = out.read_command(map); !done) return fail(done.error());
  if (auto done = out.read_polls(map); !done) return fail(done.error());
  return out;
}

Result<void> CommandLane::read_command(const DeviceMap& map) {
  if (!map.tcp->command) return {};
  const auto& command = *map.tcp->command;
  auto send = Request::make(command.send, command.framing.value_or(map.tcp->framing));
  if (!send) return fail(send.error().in("tcp.command.send"));
  send_ = std::move(*send);
  if (command.reply) {
    auto parsed = Template::parse(*command.reply, {"payload", "id", "device"});
    if (!parsed) return fail(parsed.error().in("tcp.command.reply"));
    reply_ = std::move(*parsed);
  }
  by_reply_ = map.command_done != CommandDone::written;
  if (by_reply_ && !reply_) {
    return fail(ErrorCode::invalid, "tcp.command.reply is not mapped, so command_done can only be \"written\"");
  }
  timeout_ = command.timeout;
  retries_ = command.retries;
  expire_ = command.expire;
  return {};
}

Result<void> CommandLane::read_polls(const DeviceMap& map) {
  for (const auto& poll : map.tcp->polls) {
    const auto send = Request::make(poll.send, map.tcp->framing);
    if (!send) return fail(send.error().in("tcp.poll"));
    auto wire = send->wire({{}, {}, device_.text()});
    if (!wire) return fail(wire.error().in("tcp.poll"));
    polls_.push_back({std::move(*wire), poll.every, poll.timeout});
  }
  return {};
}

// Age counts from when the hub took the command, as far as our clock agrees with the hub's.
SteadyTime CommandLane::stale_at(const Command& command, SteadyTime now, WallTime wall) const {
  auto out = kNever;
  if (expire_.count() > 0) {
    const auto age =
        command.enqueued ? std::chrono::duration_cast<Milliseconds>(wall - *command.enqueued) : Milliseconds(0);
    out = now + expire_ - std::max(age, Milliseconds(0));
  }
  if (command.expires) out = std::min(out, now + std::chrono::duration_cast<Milliseconds>(*command.expires - wall));
  return out;
}

void CommandLane::add(Command command, Completion<Outcome> done, SteadyTime now, WallTime wall) {
  if (!send_) return done(Outcome::rejected("amqp:not-implemented", "no tcp.command is mapped for this device"));
  const auto stale = stale_at(command, now, wall);
  auto wire = send_->wire({command.body, command.wire_id(), device_.text()});
  if (!wire) {
    done(Outcome::rejected("amqp:not-allowed", wire.error().message));
  } else if (stale <= now) {
    done(Outcome::rejected("amqp:precondition-failed", std::string(kTooOld)));
  } else if (!connected_ && !patient_) {
    done(Outcome::released("the device is not connected"));
  } else if (command.deadline <= now) {
    done(Outcome::released("the command arrived after its deadline"));
  } else if (waiting_.size() >= kWaiting) {
    done(Outcome::released("too many commands wait for this device"));
  } else {
    waiting_.push_back({std::move(command), std::move(done), std::move(*wire), stale});
  }
}

std::optional<std::string> CommandLane::next(SteadyTime now) {
  if (!connected_ || waits()) return std::nullopt;
  if (current_ && current_->stale_at <= now)
    finish(Outcome::rejected("amqp:precondition-failed", std::string(kTooOld)));
  while (!current_ && !waiting_.empty()) {
    if (late_reply_owed_ && now < quiet_until_) return std::nullopt;
    late_reply_owed_ = false;
    current_ = std::move(waiting_.front());
    waiting_.pop_front();
    if (current_->stale_at <= now) finish(Outcome::rejected("amqp:precondition-failed", std::string(kTooOld)));
  }
  if (!current_) return next_poll(now);
  resend_ = false;
  ++current_->sent;
  answer_by_ = by_reply_ && timeout_.count() > 0 ? now + timeout_ : kNever;
  return current_->wire;
}

std::optional<std::string> CommandLane::next_poll(SteadyTime now) {
  if (late_reply_owed_ && now < quiet_until_) return std::nullopt;
  const auto poll =
      std::min_element(polls_.begin(), polls_.end(), [](const Poll& a, const Poll& b) { return a.due < b.due; });
  if (poll == polls_.end() || poll->due > now) return std::nullopt;
  // Without catching up: a device that was busy is not asked twice at once.
  poll->due = now + poll->every;
  polled_ = now + poll->timeout;
  return poll->wire;
}

void CommandLane::on_written(std::uint64_t sequence) {
  // An earlier one may have run out while its bytes waited for a slow peer.
  if (current_ && current_->command.sequence == sequence && !by_reply_) finish(Outcome::accepted());
}

void CommandLane::fail_sending(std::string_view why) {
  if (current_) finish(Outcome::released(std::string(why)));
  polled_.reset();
}

bool CommandLane::on_line(std::string_view line, SteadyTime now) {
  if (!reply_) return false;
  const auto id = reply_->match(line, "id");
  if (!id) return false;
  if (reply_->has("device") && reply_->match(line, "device") != device_.text()) return false;
  const bool named = reply_->has("id");
  if (!named && late_reply_owed_) {
    late_reply_owed_ = false;
    ++stray_replies_;
  } else if (current_ && by_reply_ && current_->sent > 0 && (!named || *id == current_->command.wire_id())) {
    if (!named && current_->sent > 1) {
      // Each sending may be answered.
      late_reply_owed_ = true;
      quiet_until_ = now + timeout_;
    }
    finish(Outcome::accepted());
  } else {
    ++stray_replies_;
  }
  return true;
}

void CommandLane::on_connected(SteadyTime now) {
  connected_ = true;
  late_reply_owed_ = false;
  for (auto& poll : polls_) poll.due = std::max(poll.due, now);
}

void CommandLane::on_disconnected(std::string_view why) {
  connected_ = false;
  polled_.reset();
  if (current_) finish(Outcome::released(std::string(why)));
  for (auto& entry : std::exchange(waiting_, {})) entry.done(Outcome::released(std::string(why)));
}

SteadyTime CommandLane::deadline() const {
  auto out = current_ ? std::min(current_->command.deadline, answer_by_) : kNever;
  if (polled_) out = std::min(out, *polled_);
  for (const auto& entry : waiting_) out = std::min(out, entry.command.deadline);
  return out;
}

SteadyTime CommandLane::due() const {
  if (waits()) return kNever;
  auto out = resend_ || !waiting_.empty() ? SteadyTime{} : kNever;
  for (const auto& poll : polls_) out = std::min(out, poll.due);
  return late_reply_owed_ && !resend_ ? std::max(out, quiet_until_) : out;
}

void CommandLane::no_answer(SteadyTime now) {
  if (by_reply_ && !reply_->has("id")) {
    late_reply_owed_ = true;
    quiet_until_ = now + kLateReply;
  }
  finish(Outcome::released("the device did not answer in time"));
}

void CommandLane::tick(SteadyTime now) {
  if (polled_ && *polled_ <= now) {
    polled_.reset();
    ++unanswered_polls_;
  }
  if (current_ && current_->command.deadline <= now) {
    no_answer(now);
  } else if (current_ && answer_by_ <= now) {
    answer_by_ = kNever;
    if (current_->sent > retries_) {
      no_answer(now);
    } else {
      resend_ = true;
    }
  }
  for (std::size_t i = 0; i < waiting_.size();) {
    if (waiting_[i].command.deadline > now) {
      ++i;
      continue;
    }
    auto done = std::move(waiting_[i].done);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    done(Outcome::released("the device was busy with earlier commands"));
  }
}

void CommandLane::finish(Outcome outcome) {
  auto done = std::move(current_->done);
  current_.reset();
  resend_ = false;
  answer_by_ = kNever;
  done(std::move(outcome));
}

}  // namespace trunkline::tcp
