// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/command_lane.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "gateway/mapping/method_answer.h"

namespace trunkline::tcp {

namespace {

constexpr std::string_view kTooOld = "the command is too old to be sent";
constexpr std::array kKinds{CommandKind::message, CommandKind::method, CommandKind::desired};

// Age counts from when the hub took the command, as far as our clock agrees with the hub's.
SteadyTime stale_at(const Command& command, Milliseconds expire, SteadyTime now, WallTime wall) {
  auto out = kNever;
  if (expire.count() > 0) {
    const auto age =
        command.enqueued ? std::chrono::duration_cast<Milliseconds>(wall - *command.enqueued) : Milliseconds(0);
    out = now + expire - std::max(age, Milliseconds(0));
  }
  if (command.expires) out = std::min(out, now + std::chrono::duration_cast<Milliseconds>(*command.expires - wall));
  return out;
}

// What the device said in a method's reply.
MethodResponse response_of(const Template& reply, std::string_view line) {
  std::optional<int> status;
  if (reply.has("status")) {
    const auto text = reply.match(line, "status").value_or(std::string());
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
      return own_answer(MethodResponse::kUnusable, "the device's status is no number");
    }
    status = number;
  }
  return read_answer(reply.match(line, "payload").value_or(std::string()), status);
}

}  // namespace

Result<CommandLane> CommandLane::make(const DeviceMap& map) {
  CommandLane out(map);
  for (const auto kind : kKinds) {
    if (auto done = out.read_way(map, kind); !done) return fail(done.error());
  }
  if (auto done = out.read_polls(map); !done) return fail(done.error());
  if (map.tcp->reported) {
    auto parsed = Template::parse(*map.tcp->reported, {"payload", "device"});
    if (!parsed) return fail(parsed.error().in("tcp.reported"));
    out.reported_ = std::move(*parsed);
  }
  return out;
}

Result<void> CommandLane::read_way(const DeviceMap& map, CommandKind kind) {
  const auto& tcp = *map.tcp;
  const auto& mapped = kind == CommandKind::method    ? tcp.method
                       : kind == CommandKind::desired ? tcp.desired
                                                      : tcp.command;
  const std::string name = kind == CommandKind::method    ? "tcp.method"
                           : kind == CommandKind::desired ? "tcp.desired"
                                                          : "tcp.command";
  if (!mapped) return {};
  auto send = Request::make(mapped->send, mapped->framing.value_or(tcp.framing));
  if (!send) return fail(send.error().in(name + ".send"));
  Way out{std::move(*send)};
  if (mapped->reply) {
    auto parsed = Template::parse(*mapped->reply, {"payload", "id", "device", "status", "version"});
    if (!parsed) return fail(parsed.error().in(name + ".reply"));
    out.reply = std::move(*parsed);
  }
  out.by_reply = kind == CommandKind::message ? map.command_done != CommandDone::written
                                              : kind == CommandKind::method || out.reply.has_value();
  if (out.by_reply && !out.reply) {
    return fail(ErrorCode::invalid, kind == CommandKind::method
                                        ? "tcp.method.reply is not mapped, so nobody would hear the answer"
                                        : "tcp.command.reply is not mapped, so command_done can only be \"written\"");
  }
  out.timeout = mapped->timeout;
  out.retries = mapped->retries;
  out.expire = mapped->expire;
  way(kind) = std::move(out);
  return {};
}

Result<void> CommandLane::read_polls(const DeviceMap& map) {
  const auto& framing = map.tcp->command && map.tcp->command->framing ? *map.tcp->command->framing : map.tcp->framing;
  for (const auto& poll : map.tcp->polls) {
    const auto send = Request::make(poll.send, framing);
    if (!send) return fail(send.error().in("tcp.poll"));
    auto wire = send->wire({{}, {}, device_.text()});
    if (!wire) return fail(wire.error().in("tcp.poll"));
    polls_.push_back({std::move(*wire), poll.every, poll.timeout});
  }
  return {};
}

void CommandLane::add(Command command, Completion<Outcome> done, SteadyTime now, WallTime wall) {
  const auto& how = way(command.kind);
  if (!how) return done(Outcome::rejected("amqp:not-implemented", "nothing of that kind is mapped for this device"));
  const auto stale = stale_at(command, how->expire, now, wall);
  const auto id = command.wire_id();
  const auto version = std::to_string(command.version);
  auto wire = how->send.wire({command.body, id, device_.text(), command.name, version});
  if (!wire) {
    done(Outcome::rejected("amqp:not-allowed", wire.error().message));
  } else if (stale <= now) {
    done(Outcome::rejected("amqp:precondition-failed", std::string(kTooOld)));
  } else if (!connected_ && !patient_) {
    done(Outcome::away("the device is not connected"));
  } else if (command.deadline <= now) {
    done(Outcome::released("the command arrived after its deadline"));
  } else if (waiting_.size() >= kWaiting) {
    done(Outcome::busy("too many commands wait for this device"));
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
    late_reply_owed_.reset();
    current_ = std::move(waiting_.front());
    waiting_.pop_front();
    if (current_->stale_at <= now) finish(Outcome::rejected("amqp:precondition-failed", std::string(kTooOld)));
  }
  if (!current_) return next_poll(now);
  resend_ = false;
  ++current_->sent;
  const auto& how = current_way();
  answer_by_ = how.by_reply && how.timeout.count() > 0 ? now + how.timeout : kNever;
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
  if (current_ && current_->command.sequence == sequence && !current_way().by_reply) finish(Outcome::accepted());
}

void CommandLane::fail_sending(std::string_view why) {
  if (current_) finish(Outcome::released(std::string(why)));
  polled_.reset();
}

bool CommandLane::on_line(std::string_view line, SteadyTime now) {
  // Two kinds may be answered by the same words: then it is the one that waits.
  if (current_ && take_reply(current_->command.kind, line, now)) return true;
  if (late_reply_owed_ && take_reply(*late_reply_owed_, line, now)) return true;
  return std::any_of(kKinds.begin(), kKinds.end(), [&](CommandKind kind) { return take_reply(kind, line, now); });
}

std::optional<std::string> CommandLane::report(std::string_view line) const {
  if (!reported_) return std::nullopt;
  if (reported_->has("device") && reported_->match(line, "device") != device_.text()) return std::nullopt;
  return reported_->match(line, "payload");
}

bool CommandLane::take_reply(CommandKind kind, std::string_view line, SteadyTime now) {
  const auto& how = way(kind);
  if (!how || !how->reply) return false;
  const auto& reply = *how->reply;
  const auto id = reply.match(line, "id");
  if (!id) return false;
  if (reply.has("device") && reply.match(line, "device") != device_.text()) return false;
  const bool named = reply.has("id");
  const bool waits_for_it = current_ && current_->command.kind == kind && how->by_reply && current_->sent > 0;
  if (!named && late_reply_owed_ == kind) {
    late_reply_owed_.reset();
    ++stray_replies_;
  } else if (waits_for_it && (!named || *id == current_->command.wire_id())) {
    if (!named && current_->sent > 1) {
      // Each sending may be answered.
      late_reply_owed_ = kind;
      quiet_until_ = now + how->timeout;
    }
    finish(kind == CommandKind::method ? Outcome::answered(response_of(reply, line)) : Outcome::accepted());
  } else {
    ++stray_replies_;
  }
  return true;
}

void CommandLane::on_connected(SteadyTime now) {
  connected_ = true;
  late_reply_owed_.reset();
  for (auto& poll : polls_) poll.due = std::max(poll.due, now);
}

void CommandLane::on_disconnected(std::string_view why) {
  connected_ = false;
  polled_.reset();
  if (current_) finish(Outcome::away(std::string(why)));
  for (auto& entry : std::exchange(waiting_, {})) entry.done(Outcome::away(std::string(why)));
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
  const auto& how = current_way();
  if (how.by_reply && !how.reply->has("id")) {
    late_reply_owed_ = current_->command.kind;
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
    if (current_->sent > current_way().retries) {
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
