// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/command_lane.h"

#include <algorithm>
#include <utility>

namespace trunkline::coap {

void CommandLane::add(Command command, Completion<Outcome> done, bool reachable, SteadyTime now) {
  if (command.body.size() > largest_) {
    done(Outcome::rejected("amqp:link:message-size-exceeded",
                           "a CoAP command holds at most " + std::to_string(largest_) + " bytes (coap.max_body)"));
  } else if (!reachable) {
    done(Outcome::away("the device cannot be reached now"));
  } else if (command.deadline <= now) {
    done(Outcome::released("the command arrived after its deadline"));
  } else if (waiting_.size() >= kWaiting) {
    done(Outcome::busy("too many commands wait for this device"));
  } else {
    waiting_.push_back({std::move(command), std::move(done)});
  }
}

const Command* CommandLane::next() {
  if (current_ || waiting_.empty()) return nullptr;
  current_ = std::move(waiting_.front());
  waiting_.pop_front();
  return &current_->command;
}

void CommandLane::on_notified() {
  const bool message = current_ && current_->command.kind == CommandKind::message;
  if (message && by_ == CommandDone::written) finish(Outcome::accepted());
}

void CommandLane::on_pushed(Outcome outcome) {
  if (!current_) return;
  // A 2.xx only says that it was taken where a result is to follow.
  const bool message = current_->command.kind == CommandKind::message;
  if (message && outcome.kind == Outcome::Kind::accepted && by_ == CommandDone::replied) return;
  finish(std::move(outcome));
}

bool CommandLane::on_result(std::string_view id, CommandKind kind, Outcome outcome) {
  if (current_ && current_->command.kind == kind && current_->command.wire_id() == id) {
    if (kind == CommandKind::message && by_ != CommandDone::replied) return true;
    finished_.emplace_back(id);
    if (finished_.size() > kRemembered) finished_.pop_front();
    finish(std::move(outcome));
    return true;
  }
  return std::find(finished_.begin(), finished_.end(), id) != finished_.end();
}

void CommandLane::release_all(std::string_view why) {
  if (current_) finish(Outcome::away(std::string(why)));
  for (auto& entry : std::exchange(waiting_, {})) entry.done(Outcome::away(std::string(why)));
}

SteadyTime CommandLane::deadline() const {
  auto out = current_ ? current_->command.deadline : kNever;
  for (const auto& entry : waiting_) out = std::min(out, entry.command.deadline);
  return out;
}

void CommandLane::tick(SteadyTime now) {
  if (current_ && current_->command.deadline <= now) finish(Outcome::released("the device did not answer in time"));
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
  done(std::move(outcome));
}

}  // namespace trunkline::coap
