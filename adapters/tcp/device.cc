// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/device.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <utility>

#include "gateway/base/log.h"

namespace trunkline::tcp {

namespace {

// What waits for a peer that does not read. Beyond it commands are released and no line is read.
constexpr std::size_t kMaxQueued = 256 * 1024;

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

std::uint64_t grown(std::uint64_t now, std::uint64_t before) {
  return now - before;
}

}  // namespace

Counters::Counters(Metrics& metrics)
    : connections(metrics.metric("tcp_connections", "TCP devices that are connected")),
      lines(metrics.metric("tcp_lines_total", "Lines received as telemetry")),
      overlong(metrics.metric("tcp_overlong_lines_total", "Lines dropped because they exceed framing.max")),
      refused(metrics.metric("tcp_refused_total", "Lines that intake refused")),
      throttled(metrics.metric("tcp_throttled_total", "Times a line was put off because intake was full")),
      acknowledged(metrics.metric("tcp_acknowledged_total", "Lines acknowledged to their device")),
      cut_off(
          metrics.metric("tcp_cut_off_lines_total", "Lines whose end mark never came because the connection ended")),
      noise(metrics.metric("tcp_noise_bytes_total", "Bytes that belonged to no frame")),
      check_failed(metrics.metric("tcp_check_failed_total", "Frames whose check was wrong, dropped or not")),
      malformed(metrics.metric("tcp_malformed_frames_total", "Frames that their framing forbids")),
      timeouts(metrics.metric("tcp_frame_timeouts_total", "Unfinished frames ended by silence")),
      stray_replies(metrics.metric("tcp_stray_replies_total", "Reply lines that answered no waiting command")) {}

Result<std::unique_ptr<Device>> Device::make(Loop& loop, const DeviceMap& map, std::size_t index) {
  std::optional<CommandLane> lane;
  const auto& tcp = *map.tcp;
  if (tcp.command || tcp.method || tcp.desired || tcp.reported || !tcp.polls.empty()) {
    auto made = CommandLane::make(map);
    if (!made) return fail(made.error().in(map.id.text()));
    lane = std::move(*made);
  }
  return std::unique_ptr<Device>(new Device(loop, map, index, std::move(lane)));
}

Device::Device(Loop& loop, const DeviceMap& map, std::size_t index, std::optional<CommandLane> lane)
    : loop_(loop), map_(map), index_(index), lane_(std::move(lane)), timer_(loop.inbox->io) {}

Result<void> Device::listen() {
  const auto local = net::Endpoint::parse(map_.tcp->listen);
  if (!local) return fail(local.error().in(map_.id.text() + ": tcp.listen"));
  auto listener = net::Listener::open(loop_.inbox->io, *local,
                                      [this](net::asio::ip::tcp::socket socket) { accept(std::move(socket)); });
  if (!listener) return fail(listener.error().in(map_.id.text()));
  listener_ = std::move(*listener);
  return {};
}

void Device::accept(net::asio::ip::tcp::socket socket) {
  if (loop_.stopping) return;
  // A device that lost its connection without an end may come back before we notice: the newest one is the device.
  if (connection_) drop_connection("device_connection_replaced", "a newer connection came");
  connection_ =
      std::make_shared<Connection>(*this, net::tcp_stream(std::move(socket)), map_.tcp->framing, ++last_connection_);
  seen_ = {};
  loop_.counters.connections.set(++loop_.connected);
  if (const auto suppressed = connect_log_.allow(loop_.clock.steady())) {
    log::info(
        "device_connected",
        {{"adapter", "tcp"}, {"device", map_.id.text()}, {"peer", connection_->peer()}, {"suppressed", *suppressed}});
  }
  if (lane_) lane_->on_connected(loop_.clock.steady());
  set_presence(Presence::reachable);
  read_lines();
}

void Device::on_bytes(Connection& /*connection*/) {
  loop_.status.with([&](auto& status) { status[index_].last_heard = loop_.clock.wall(); });
  if (map_.tcp->framing.timeout.count() > 0) heard_ = loop_.clock.steady();
  read_lines();
  arm();
}

void Device::read_lines() {
  if (!connection_) return;
  // A reply or a refusal may close the connection that is being read.
  const auto connection = connection_;
  bool drained = false;
  while (connection == connection_ && !loop_.stopping && queue_.wants_lines() && connection->queued() < kMaxQueued) {
    const auto frame = connection->frames().next();
    if (!frame) {
      drained = true;
      break;
    }
    if (!frame->body.empty()) take_frame(*frame);
  }
  if (connection != connection_) return;
  count_drops();
  if (drained) connection->read();
  finish_half_closed();
  send_commands();
}

void Device::take_frame(const FrameReader::Frame& frame) {
  if (lane_ && lane_->on_line(frame.body, loop_.clock.steady())) return;
  if (const auto patch = lane_ ? lane_->report(frame.body) : std::nullopt) return take_report(*patch);
  loop_.counters.lines.add();
  if (queue_.unanswered(connection_->number())) pipelines_ = connection_->number();
  offer(queue_.push(frame.body, connection_->number(), frame.flagged), frame.body, frame.flagged);
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

void Device::offer(std::uint64_t number, std::string_view body, bool flagged) {
  ++loop_.offered;
  Telemetry telemetry{
      map_.id,
      std::string(body),
      map_.content_type.empty() ? std::string(default_content_type(map_.tcp->framing.kind)) : map_.content_type,
      map_.content_encoding,
      {},
      {},
      Source::tcp};
  if (flagged) telemetry.properties.push_back({"framing-check", "failed"});
  // Stop-and-wait, until its peer has shown on this connection that it does not wait for our answer.
  telemetry.sender_waits = map_.tcp->ack && (!connection_ || pipelines_ != connection_->number());
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
  const auto settled = queue_.settle(connection_ ? connection_->number() : 0);
  if (settled.acknowledge > 0 && connection_ && map_.tcp->ack) {
    loop_.counters.acknowledged.add(settled.acknowledge);
    connection_->write_repeated(*map_.tcp->ack, settled.acknowledge);
  }
  // What comes after a line that nobody answers for must not be acknowledged (D-01).
  if (settled.abandoned && connection_) drop_connection("device_disconnected", "its lines were abandoned");
  if (loop_.stopping) return;
  read_lines();
  arm();
}

void Device::on_written(Connection& /*connection*/, std::span<const std::uint64_t> commands) {
  if (lane_) {
    for (const auto sequence : commands) lane_->on_written(sequence);
  }
  if (loop_.stopping) {
    loop_.on_idle();
    return;
  }
  read_lines();
}

void Device::on_read_end(Connection& connection) {
  if (connection.frames().partial()) loop_.counters.cut_off.add();
  // It may have closed its side only, and wait for its acknowledgements.
  if (lane_) lane_->on_disconnected("the device closed the connection");
  set_presence(Presence::away);
  finish_half_closed();
}

void Device::finish_half_closed() {
  if (connection_ && connection_->read_ended() && queue_.empty() && connection_->queued() == 0) {
    drop_connection("device_disconnected", "the device closed the connection");
  }
}

void Device::on_failed(Connection& /*connection*/, const std::string& error) {
  drop_connection("device_disconnected", error);
}

void Device::drop_connection(std::string_view event, std::string_view why) {
  if (connection_->frames().partial() && !connection_->read_ended()) loop_.counters.cut_off.add();
  if (const auto suppressed = disconnect_log_.allow(loop_.clock.steady())) {
    log::info(event, {{"adapter", "tcp"},
                      {"device", map_.id.text()},
                      {"peer", connection_->peer()},
                      {"reason", why},
                      {"suppressed", *suppressed}});
  }
  connection_->close();
  connection_.reset();
  loop_.counters.connections.set(--loop_.connected);
  if (lane_) lane_->on_disconnected(why);
  set_presence(Presence::away);
  arm();
  if (loop_.stopping) loop_.on_idle();
}

void Device::set_presence(Presence presence) {
  loop_.status.with([&](auto& status) {
    status[index_].presence = presence;
    status[index_].peer = connection_ ? connection_->peer() : std::string();
  });
  loop_.ingress->presence(map_.id, presence);
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
  if (!lane_ || loop_.stopping) return;
  while (const auto text = lane_->next(loop_.clock.steady())) {
    if (connection_->queued() + text->size() > kMaxQueued) {
      lane_->fail_sending("the device does not read what it is sent");
      continue;
    }
    connection_->write(*text, lane_->current());
  }
  arm();
}

void Device::count_drops() {
  const auto now = loop_.clock.steady();
  const auto& counts = connection_->frames().counts();
  const auto before = std::exchange(seen_, counts);
  auto& counters = loop_.counters;
  counters.noise.add(grown(counts.noise_bytes, before.noise_bytes));
  counters.overlong.add(grown(counts.overlong, before.overlong));
  counters.check_failed.add(grown(counts.check_failed, before.check_failed));
  counters.malformed.add(grown(counts.malformed, before.malformed));
  counters.timeouts.add(grown(counts.timeouts, before.timeouts));
  const auto reason = counts.overlong > before.overlong           ? "longer than framing.max"
                      : counts.check_failed > before.check_failed ? "its check is wrong"
                      : counts.malformed > before.malformed       ? "the framing forbids it"
                      : counts.timeouts > before.timeouts         ? "it was not finished in framing.timeout"
                                                                  : nullptr;
  if (reason != nullptr) {
    if (const auto suppressed = dropped_log_.allow(now)) {
      log::warning("frame_faulted", {{"adapter", "tcp"},
                                     {"device", map_.id.text()},
                                     {"reason", reason},
                                     {"limit", map_.tcp->framing.max_length},
                                     {"suppressed", *suppressed}});
    }
  }
  if (lane_ && lane_->stray_replies() > stray_seen_) {
    loop_.counters.stray_replies.add(lane_->stray_replies() - std::exchange(stray_seen_, lane_->stray_replies()));
    if (const auto suppressed = stray_log_.allow(now)) {
      log::warning("command_reply_ignored", {{"adapter", "tcp"},
                                             {"device", map_.id.text()},
                                             {"reason", "it answers no command that waits"},
                                             {"suppressed", *suppressed}});
    }
  }
}

// When silence has lasted. Only while we listen: what the kernel holds for us is no silence.
SteadyTime Device::silence_at() const {
  const auto timeout = map_.tcp->framing.timeout;
  if (timeout.count() == 0 || !connection_ || !connection_->reading() || !connection_->frames().partial())
    return kNever;
  return heard_ + timeout;
}

void Device::arm() {
  auto due = std::min(queue_.next_offer_at(), silence_at());
  if (lane_) due = std::min({due, lane_->deadline(), connection_ ? lane_->due() : kNever});
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
  while (const auto again = queue_.again(now)) offer(again->number, again->body, again->flagged);
  if (lane_) lane_->tick(now);
  send_commands();
  if (silence_at() <= now) connection_->frames().on_silence();
  read_lines();
  arm();
}

void Device::stop_taking() {
  listener_.reset();
  timer_.cancel();
  if (lane_) lane_->on_disconnected("the gateway is stopping");
}

void Device::close() {
  stop_taking();
  if (!queue_.empty()) {
    log::warning("lines_abandoned", {{"adapter", "tcp"}, {"device", map_.id.text()}, {"count", queue_.size()}});
  }
  if (connection_) drop_connection("device_disconnected", "the gateway is stopping");
}

}  // namespace trunkline::tcp
