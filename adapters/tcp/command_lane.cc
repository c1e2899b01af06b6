// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/command_lane.h"

#include <algorithm>
#include <utility>

namespace trunkline::tcp {

Result<CommandLane> CommandLane::make(const DeviceMap& map) {
  if (!map.tcp || !map.tcp->command) return fail(ErrorCode::invalid, "tcp.command is not mapped");
  const auto& command = *map.tcp->command;
  auto send = Template::parse(command.send, {"payload", "id", "device"});
  if (!send) return fail(send.error().in("tcp.command.send"));
  std::optional<Template> reply;
  if (command.reply) {
    auto parsed = Template::parse(*command.reply, {"payload", "id", "device"});
    if (!parsed) return fail(parsed.error().in("tcp.command.reply"));
    reply = std::move(*parsed);
  }
  const bool by_reply = map.command_done != CommandDone::written;
  if (by_reply && !reply) {
    return fail(ErrorCode::invalid, "tcp.command.reply is not mapped, so command_done can only be \"written\"");
  }
  return CommandLane(map.id, *map.tcp, std::move(*send), std::move(reply), by_reply);
}

CommandLane::CommandLane(DeviceId device, const TcpMap& map, Template send, std::optional<Template> reply,
                         bool by_reply)
    : device_(std::move(device)),
      end_(map.framing.end),
      send_(std::move(send)),
      reply_(std::move(reply)),
      by_reply_(by_reply) {}

void CommandLane::add(Command command, Completion<Outcome> done, SteadyTime now) {
  if (command.body.find(end_) != std::string::npos && send_.has("payload")) {
    // The device would read the rest as further lines, that is, as commands of its own.
    done(Outcome::rejected("amqp:not-allowed", "the body holds the line end of this device"));
  } else if (!connected_) {
    done(Outcome::released("the device is not connected"));
  } else if (command.deadline <= now) {
    done(Outcome::released("the command arrived after its deadline"));
  } else if (waiting_.size() >= kWaiting) {
    done(Outcome::released("too many commands wait for this device"));
  } else {
    waiting_.push_back({std::move(command), std::move(done)});
  }
}

std::optional<std::string> CommandLane::next(SteadyTime now) {
  if (!connected_ || current_ || waiting_.empty()) return std::nullopt;
  if (late_reply_owed_ && now < quiet_until_) return std::nullopt;
  late_reply_owed_ = false;
  current_ = std::move(waiting_.front());
  waiting_.pop_front();
  const auto id = current_->command.wire_id();
  return send_.fill({{"payload", current_->command.body}, {"id", id}, {"device", device_.text()}});
}

void CommandLane::on_written(std::uint64_t sequence) {
  // An earlier one may have run out while its bytes waited for a slow peer.
  if (current_ && current_->command.sequence == sequence && !by_reply_) finish(Outcome::accepted());
}

void CommandLane::fail_sending(std::string_view why) {
  if (current_) finish(Outcome::released(std::string(why)));
}

bool CommandLane::on_line(std::string_view line) {
  if (!reply_) return false;
  const auto id = reply_->match(line, "id");
  if (!id) return false;
  if (reply_->has("device") && reply_->match(line, "device") != device_.text()) return false;
  const bool named = reply_->has("id");
  if (!named && late_reply_owed_) {
    late_reply_owed_ = false;
    ++stray_replies_;
  } else if (current_ && by_reply_ && (!named || *id == current_->command.wire_id())) {
    finish(Outcome::accepted());
  } else {
    ++stray_replies_;
  }
  return true;
}

void CommandLane::on_connected() {
  connected_ = true;
  late_reply_owed_ = false;
}

void CommandLane::on_disconnected(std::string_view why) {
  connected_ = false;
  if (current_) finish(Outcome::released(std::string(why)));
  for (auto& entry : std::exchange(waiting_, {})) entry.done(Outcome::released(std::string(why)));
}

SteadyTime CommandLane::deadline() const {
  auto out = current_ ? current_->command.deadline : kNever;
  for (const auto& entry : waiting_) out = std::min(out, entry.command.deadline);
  if (!current_ && !waiting_.empty() && late_reply_owed_) out = std::min(out, quiet_until_);
  return out;
}

void CommandLane::tick(SteadyTime now) {
  if (current_ && current_->command.deadline <= now) {
    if (by_reply_ && !reply_->has("id")) {
      late_reply_owed_ = true;
      quiet_until_ = now + kLateReply;
    }
    finish(Outcome::released("the device did not answer in time"));
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
  done(std::move(outcome));
}

}  // namespace trunkline::tcp
