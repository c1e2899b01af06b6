// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/device.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <utility>

#include "adapters/tcp/line.h"
#include "adapters/tcp/port.h"
#include "gateway/base/log.h"

namespace trunkline::tcp {

namespace {

std::string_view default_content_type(FramingKind kind) {
  switch (kind) {
    case FramingKind::json:
      return "application/json";
    case FramingKind::line:
    case FramingKind::end:
    case FramingKind::marks:
    case FramingKind::nmea:
    case FramingKind::modbus_ascii:
    case FramingKind::octets:
      return "text/plain";
    default:
      return "application/octet-stream";
  }
}

// Sequences come round again, so a repeat is the same sequence with the same bytes (FNV-1a).
std::string source_key(std::string_view sequence, std::string_view body) {
  if (sequence.empty()) return {};
  std::uint64_t hash = 14'695'981'039'346'656'037ULL;
  for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
  return std::string(sequence) + '/' + std::to_string(hash);
}

}  // namespace

Result<std::unique_ptr<Device>> Device::make(Loop& loop, const DeviceMap& map, std::size_t index) {
  std::optional<CommandLane> lane;
  const auto& tcp = *map.tcp;
  if (tcp.command || tcp.method || tcp.desired || tcp.reported || !tcp.polls.empty()) {
    auto made = CommandLane::make(map);
    if (!made) return fail(made.error().in(map.id.text()));
    lane = std::move(*made);
    if (map.tcp->line.release.count() > 0) lane->wait_for_connection();
  }
  return std::unique_ptr<Device>(new Device(loop, map, index, std::move(lane)));
}

Device::Device(Loop& loop, const DeviceMap& map, std::size_t index, std::optional<CommandLane> lane)
    : loop_(loop), map_(map), index_(index), lane_(std::move(lane)), timer_(loop.inbox->io) {}

void Device::join(Port& port) {
  port_ = &port;
}

void Device::attach(std::shared_ptr<Line> line) {
  line_ = std::move(line);
  if (const auto suppressed = connect_log_.allow(loop_.clock.steady())) {
    log::info("device_connected",
              {{"adapter", "tcp"}, {"device", map_.id.text()}, {"peer", line_->peer()}, {"suppressed", *suppressed}});
  }
  if (lane_) lane_->on_connected(loop_.clock.steady());
  reachable(Presence::reachable);
}

void Device::detach(std::string_view why) {
  if (!line_) return;
  if (const auto suppressed = disconnect_log_.allow(loop_.clock.steady())) {
    log::info("device_disconnected", {{"adapter", "tcp"},
                                      {"device", map_.id.text()},
                                      {"peer", line_->peer()},
                                      {"reason", why},
                                      {"suppressed", *suppressed}});
  }
  line_.reset();
  if (lane_) lane_->on_disconnected(why);
  // A line that is dialled when there is something to send has its device within reach without a connection.
  reachable(map_.tcp->line.release.count() > 0 && !loop_.stopping ? Presence::reachable : Presence::away);
  arm();
}

void Device::reachable(Presence presence) {
  presence_ = presence;
  set_status();
  loop_.ingress->presence(map_.id, presence);
}

void Device::set_status() {
  loop_.status.with([&](auto& status) {
    status[index_].presence = presence_;
    status[index_].peer = line_ ? line_->peer() : std::string();
  });
}

void Device::note_faults(const FrameCounts& grown) {
  faults_ += grown;
  std::vector<std::pair<std::string, std::uint64_t>> rows;
  for (const auto& [name, count] : {std::pair("check_failed", faults_.check_failed),
                                    {"malformed", faults_.malformed},
                                    {"overlong", faults_.overlong},
                                    {"timeouts", faults_.timeouts},
                                    {"noise_bytes", faults_.noise_bytes}}) {
    if (count > 0) rows.emplace_back(name, count);
  }
  loop_.status.with([&](auto& status) { status[index_].faults = std::move(rows); });
}

void Device::take(Line& line, const FrameReader::Frame& frame, std::uint64_t tag, std::string_view sequence) {
  loop_.status.with([&](auto& status) { status[index_].last_heard = loop_.clock.wall(); });
  if (lane_ && lane_->on_line(frame.body, loop_.clock.steady())) {
    count_replies();
    line.settled(tag, LineQueue::End::refused);  // replies are not acknowledged
    return;
  }
  if (const auto patch = lane_ ? lane_->report(frame.body) : std::nullopt) {
    take_report(*patch);
    line.settled(tag, LineQueue::End::refused);  // nor are reports
    return;
  }
  if (lane_) lane_->on_telemetry();
  loop_.counters.lines.add();
  if (queue_.full()) {
    // On a shared line only: a line of one device is not read then (D-06).
    loop_.counters.refused.add();
    line.settled(tag, LineQueue::End::refused);
    return;
  }
  auto key = source_key(sequence, frame.body);
  if (queue_.held_back()) {
    queue_.push_waiting(frame.body, line.number(), frame.flagged, tag, std::move(key));
    return arm();
  }
  if (queue_.unanswered(line.number())) pipelines_ = line.number();
  const auto number = queue_.push(frame.body, line.number(), frame.flagged, tag, key);
  offer(number, frame.body, frame.flagged, std::move(key), Telemetry::Offer::in_line);
}

void Device::take_report(const std::string& patch) {
  const auto taken = loop_.ingress->report(map_.id, patch);
  if (taken) return;
  loop_.counters.refused.add();
  if (const auto suppressed = refused_log_.allow(loop_.clock.steady())) {
    log::warning("report_refused", {{"adapter", "tcp"},
                                    {"device", map_.id.text()},
                                    {"reason", taken.error().message},
                                    {"suppressed", *suppressed}});
  }
}

void Device::offer(std::uint64_t number, std::string_view body, bool flagged, std::string key, Telemetry::Offer how) {
  ++loop_.offered;
  Telemetry telemetry{
      map_.id,
      std::string(body),
      map_.content_type.empty() ? std::string(default_content_type(map_.tcp->framing.kind)) : map_.content_type,
      map_.content_encoding,
      {},
      std::move(key),
      Source::tcp};
  if (flagged) telemetry.properties.push_back({"framing-check", "failed"});
  // Stop-and-wait, until its peer has shown on this connection that it does not wait for our answer.
  telemetry.sender_waits = map_.tcp->ack && (!line_ || pipelines_ != line_->number());
  telemetry.offer = how;
  loop_.ingress->submit(std::move(telemetry),
                        Completion<Admission>([inbox = loop_.inbox, device = index_, number](Admission admission) {
                          inbox->answers.push({device, number, std::move(admission)});
                        }));
}

void Device::on_answer(const Answer& answer) {
  --loop_.offered;
  const auto now = loop_.clock.steady();
  queue_.answer(answer.number, answer.admission, now);
  if (answer.admission.kind == Admission::Kind::throttled) loop_.counters.throttled.add();
  if (answer.admission.kind != Admission::Kind::refused) return;
  loop_.counters.refused.add();
  if (const auto suppressed = refused_log_.allow(now)) {
    log::warning("message_refused", {{"adapter", "tcp"},
                                     {"device", map_.id.text()},
                                     {"reason", answer.admission.reason},
                                     {"suppressed", *suppressed}});
  }
}

void Device::after_answers() {
  ended_.clear();
  queue_.settle(ended_);
  // A message may be owed to an earlier connection, if that is still open.
  std::shared_ptr<Line> line = line_;
  for (const auto& [number, tag, end] : ended_) {
    if (!line || line->number() != number) {
      if (line) line->after_answers();
      const auto found = loop_.lines.find(number);
      if (found == loop_.lines.end()) continue;
      line = found->second->shared_from_this();
    }
    line->settled(tag, end);
  }
  if (line) line->after_answers();
  if (line_ && line_ != line) line_->after_answers();
  arm();
}

void Device::deliver(Command command, Completion<Outcome> done) {
  if (loop_.stopping) {
    done(Outcome::released("the gateway is stopping"));
  } else if (!lane_) {
    done(Outcome::rejected("amqp:not-implemented", "no tcp.command is mapped for this device"));
  } else {
    lane_->add(std::move(command), std::move(done), loop_.clock.steady(), loop_.clock.wall());
    send_commands();
  }
}

void Device::send_commands() {
  if (line_) {
    line_->take_turns();
  } else {
    port_->wake();
  }
  arm();
}

void Device::count_replies() {
  if (lane_->unanswered_polls() > polls_seen_) {
    loop_.counters.polls_unanswered.add(lane_->unanswered_polls() -
                                        std::exchange(polls_seen_, lane_->unanswered_polls()));
  }
  if (lane_->stray_replies() == stray_seen_) return;
  loop_.counters.stray_replies.add(lane_->stray_replies() - std::exchange(stray_seen_, lane_->stray_replies()));
  if (const auto suppressed = stray_log_.allow(loop_.clock.steady())) {
    log::warning("command_reply_ignored", {{"adapter", "tcp"},
                                           {"device", map_.id.text()},
                                           {"reason", "it answers no command that waits"},
                                           {"suppressed", *suppressed}});
  }
}

void Device::arm() {
  auto due = queue_.next_offer_at();
  if (lane_) due = std::min(due, lane_->deadline());
  // An alarm that comes too early only looks again; one that is too late would break a deadline.
  if (due >= armed_ || loop_.stopping) return;
  armed_ = due;
  timer_.expires_at(due);
  timer_.async_wait([this](net::error_code error) {
    if (error != net::asio::error::operation_aborted) on_timer();
  });
}

void Device::on_timer() {
  armed_ = kNever;
  if (loop_.stopping) return;
  const auto now = loop_.clock.steady();
  while (const auto again = queue_.again(now)) {
    offer(again->number, again->body, again->flagged, std::string(again->key),
          again->first ? Telemetry::Offer::again : Telemetry::Offer::in_line);
  }
  if (lane_ && lane_->deadline() <= now) {
    lane_->tick(now);
    count_replies();
    send_commands();
  }
  if (line_) line_->after_answers();
  arm();
}

void Device::retire(std::string_view why) {
  if (lane_) lane_->on_disconnected(why);
  lane_.reset();
  port_ = nullptr;
  if (presence_ == Presence::reachable) reachable(Presence::away);
  loop_.status.with([&](auto& status) { status[index_].device.clear(); });
}

void Device::stop_taking() {
  timer_.cancel();
  if (lane_) lane_->on_disconnected("the gateway is stopping");
}

void Device::close() {
  stop_taking();
  if (queue_.empty()) return;
  log::warning("lines_abandoned", {{"adapter", "tcp"}, {"device", map_.id.text()}, {"count", queue_.size()}});
}

}  // namespace trunkline::tcp
