// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/line.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <utility>

#include "adapters/tcp/port.h"
#include "gateway/base/log.h"

namespace trunkline::tcp {

namespace {

using By = TcpIdentify::By;

}  // namespace

Line::Line(Loop& loop, Port& port, std::unique_ptr<net::Stream> stream)
    : loop_(loop), port_(port), map_(port.map()), timer_(loop.inbox->io) {
  connection_ = std::make_shared<Connection>(*this, std::move(stream), port.first_framing(), ++loop.last_number);
  if (map_.ack) acks_.emplace(map_.line.cumulative);
  registering_ = map_.line.identify.by == By::registration;
}

void Line::start(Device* device) {
  opened_ = heard_ = loop_.clock.steady();
  if (device != nullptr && !admit(*device)) return close("the device has a connection already");
  read_frames();
}

bool Line::admit(Device& device) {
  if (device.line()) {
    if (map_.line.refuse_second) {
      loop_.counters.turned_away.add();
      return false;
    }
    // A device that lost its connection without an end may come back before we notice.
    device.line()->lose(device, "a newer connection came");
  }
  devices_.push_back(&device);
  asks_ = asks_ || device.lane() != nullptr;
  held_bytes_ = 0;
  device.attach(shared_from_this());
  return true;
}

void Line::welcome(const std::vector<Device*>& devices) {
  const auto self = shared_from_this();
  for (auto* device : devices) {
    if (!closed_ && device->line().get() != this) admit(*device);
  }
  if (!closed_) take_turns();
}

void Line::lose(Device& device, std::string_view why) {
  if (map_.line.identify.by != By::frame) return close(why);
  std::erase(devices_, &device);
  device.detach(why);
}

void Line::on_bytes(Connection& /*connection*/) {
  const auto self = shared_from_this();
  heard_ = loop_.clock.steady();
  heard_anything_ = true;
  probed_ = kNever;
  if (map_.line.gap.count() > 0) quiet_until_ = heard_ + map_.line.gap;
  read_frames();
  check_hold();
}

bool Line::wants_frames() const {
  return devices_.empty() ||
         std::any_of(devices_.begin(), devices_.end(), [](const Device* device) { return device->wants_lines(); });
}

void Line::read_frames() {
  const auto self = shared_from_this();
  paused_ = true;
  while (!closed_ && !loop_.stopping && wants_frames() && connection_->queued() < kMaxQueued) {
    const auto frame = connection_->frames().next();
    if (!frame) {
      paused_ = false;
      break;
    }
    if (!frame->body.empty()) take_frame(*frame);
  }
  if (closed_) return;
  count_drops();
  if (!paused_) connection_->read();
  go_on();
}

// Once something has changed. What waits in the buffer is looked at only if it was left there.
void Line::go_on() {
  flush_acknowledgements();
  finish_half_closed();
  take_turns();
}

void Line::take_frame(const FrameReader::Frame& frame) {
  if (registering_) return take_registration(frame);
  if (take_heartbeat(frame.body)) return;
  const auto& identify = map_.line.identify;
  if (identify.by != By::frame) {
    if (!devices_.empty()) give(*devices_.front(), frame);
    return;
  }
  const auto key = read_field(identify.field, frame.body);
  auto* device = key ? port_.find(*key) : nullptr;
  if (device == nullptr) {
    loop_.counters.unknown_frames.add();
    tried_ = key.value_or(std::string());
    if (devices_.empty()) held_bytes_ += frame.body.size();
    port_.note_unknown(*this, key ? *key : std::string_view(), frame.body);
  } else if (device->line().get() == this || admit(*device)) {
    give(*device, frame);
  }
}

bool Line::take_heartbeat(std::string_view body) {
  for (const auto& heartbeat : map_.line.heartbeats) {
    if (!heartbeat.match.find(body)) continue;
    loop_.counters.heartbeats.add();
    if (heartbeat.answer) connection_->write(*heartbeat.answer);
    return true;
  }
  return false;
}

void Line::take_registration(const FrameReader::Frame& frame) {
  const auto& identify = map_.line.identify;
  const auto key = read_field(identify.field, frame.body);
  auto* device = key ? port_.find(*key) : nullptr;
  if (device == nullptr) {
    if (key) {
      tried_ = *key;
      port_.note_unknown(*this, *key, frame.body);
    } else if (take_heartbeat(frame.body)) {
      return;
    }
    held_bytes_ += frame.body.size();
    if (held_bytes_ <= identify.hold_bytes && !key) held_.push_back({std::string(frame.body), frame.flagged});
    return;
  }
  registering_ = false;
  if (identify.bytes > 0) {
    count_drops();
    connection_->reframe(map_.framing);
    seen_ = {};
  }
  if (!admit(*device)) return close("the device has a connection already");
  if (!identify.answer.empty()) connection_->write(identify.answer);
  for (const auto& held : std::exchange(held_, {})) {
    if (!closed_ && !take_heartbeat(held.body)) give(*device, {held.body, held.flagged});
  }
}

void Line::give(Device& device, const FrameReader::Frame& frame) {
  std::string sequence;
  if (map_.line.sequence) sequence = read_field(*map_.line.sequence, frame.body).value_or(std::string());
  const auto tag = acks_ ? acks_->push(port_.acknowledgement(sequence)) : 0;
  ++open_;
  device.take(*this, frame, tag, sequence);
}

// A peer that nobody knows gets so many bytes and so much time to say who it is.
void Line::check_hold() {
  if (closed_ || !devices_.empty() || connection_->read_ended()) return arm();
  const auto& identify = map_.line.identify;
  const auto rest = connection_->frames().rest();
  if (held_bytes_ + rest.size() <= identify.hold_bytes && loop_.clock.steady() < opened_ + identify.hold_time) {
    return arm();
  }
  loop_.counters.unknown.add();
  if (tried_.empty()) port_.note_unknown(*this, {}, held_.empty() ? rest : std::string_view(held_.front().body));
  close("nobody known");
}

void Line::settled(std::uint64_t tag, LineQueue::End end) {
  --open_;
  if (closed_) return;
  if (end == LineQueue::End::abandoned) {
    // What comes after a message that nobody answers for must not be acknowledged (D-01).
    flush_acknowledgements();
    return close("its lines were abandoned");
  }
  if (acks_) acks_->settle(tag, end == LineQueue::End::safe);
}

void Line::flush_acknowledgements() {
  if (!acks_ || closed_) return;
  std::string text;
  const auto count = acks_->take(text);
  if (count == 0) return;
  loop_.counters.acknowledged.add(count);
  connection_->write(text);
}

void Line::after_answers() {
  const auto self = shared_from_this();
  flush_acknowledgements();
  if (loop_.stopping || closed_) return;
  if (paused_) {
    read_frames();
  } else {
    go_on();
  }
}

void Line::take_turns() {
  if (!asks_ || closed_ || loop_.stopping || connection_->read_ended()) return arm();
  const auto now = loop_.clock.steady();
  const auto waits = [](const Device* device) {
    return const_cast<Device*>(device)->lane() != nullptr && const_cast<Device*>(device)->lane()->waits();
  };
  for (std::size_t tries = 0; tries < devices_.size(); ++tries) {
    if (now < quiet_until_ || std::any_of(devices_.begin(), devices_.end(), waits)) break;
    auto& device = *devices_[turn_++ % devices_.size()];
    while (auto* lane = device.lane()) {
      const auto bytes = lane->next(now);
      if (!bytes) break;
      if (connection_->queued() + bytes->size() > kMaxQueued) {
        lane->fail_sending("the device does not read what it is sent");
        continue;
      }
      if (map_.line.gap.count() > 0) quiet_until_ = now + map_.line.gap;
      const auto current = lane->current();
      connection_->write(*bytes, current != 0 ? std::optional(current) : std::nullopt);
      break;
    }
    device.arm();
  }
  arm();
}

void Line::on_written(Connection& /*connection*/, std::span<const std::uint64_t> commands) {
  const auto self = shared_from_this();
  for (const auto sequence : commands) {
    for (auto* device : devices_) {
      if (auto* lane = device->lane(); lane != nullptr && lane->current() == sequence) lane->on_written(sequence);
    }
  }
  if (loop_.stopping) return loop_.on_idle();
  if (paused_) {
    read_frames();
  } else {
    go_on();
  }
}

void Line::on_read_end(Connection& connection) {
  const auto self = shared_from_this();
  if (connection.frames().partial()) loop_.counters.cut_off.add();
  // It may have closed its side only, and wait for its acknowledgements.
  for (auto* device : devices_) {
    if (auto* lane = device->lane()) lane->on_disconnected("the device closed the connection");
    device->reachable(Presence::away);
  }
  finish_half_closed();
}

void Line::finish_half_closed() {
  if (!closed_ && connection_->read_ended() && open_ == 0 && connection_->queued() == 0) {
    close("the device closed the connection");
  }
}

void Line::on_failed(Connection& /*connection*/, const std::string& error) {
  close(error);
}

void Line::close(std::string_view why, bool reset) {
  if (std::exchange(closed_, true)) return;
  const auto self = shared_from_this();
  if (connection_->frames().partial() && !connection_->read_ended()) loop_.counters.cut_off.add();
  connection_->close(reset);
  timer_.cancel();
  loop_.lines.erase(number());
  loop_.counters.connections.set(--loop_.connected);
  for (auto* device : std::exchange(devices_, {})) device->detach(why);
  port_.on_closed(*this, why);
  if (loop_.stopping) loop_.on_idle();
}

void Line::count_drops() {
  const auto& counts = connection_->frames().counts();
  if (counts == seen_) return;
  const auto grown = counts - std::exchange(seen_, counts);
  auto& counters = loop_.counters;
  counters.noise.add(grown.noise_bytes);
  counters.overlong.add(grown.overlong);
  counters.check_failed.add(grown.check_failed);
  counters.malformed.add(grown.malformed);
  counters.timeouts.add(grown.timeouts);
  for (auto* device : devices_) device->note_faults(grown);
  const auto reason = grown.overlong > 0       ? "longer than framing.max"
                      : grown.check_failed > 0 ? "its check is wrong"
                      : grown.malformed > 0    ? "the framing forbids it"
                      : grown.timeouts > 0     ? "it was not finished in framing.timeout"
                                               : nullptr;
  if (reason == nullptr) return;
  if (const auto suppressed = dropped_log_.allow(loop_.clock.steady())) {
    log::warning("frame_faulted", {{"adapter", "tcp"},
                                   {"device", devices_.empty() ? peer() : devices_.front()->id().text()},
                                   {"reason", reason},
                                   {"limit", map_.framing.max_length},
                                   {"suppressed", *suppressed}});
  }
}

// When silence has lasted. Only while we listen: what the kernel holds for us is no silence.
SteadyTime Line::frame_silence_at() const {
  const auto timeout = map_.framing.timeout;
  if (timeout.count() == 0 || !connection_->reading() || !connection_->frames().partial()) return kNever;
  return heard_ + timeout;
}

SteadyTime Line::silent_at() const {
  if (!connection_->reading()) return kNever;
  auto out = map_.line.silence.count() > 0 ? heard_ + map_.line.silence : kNever;
  if (probed_ != kNever) out = std::min(out, probed_ + map_.line.probe->timeout);
  return out;
}

SteadyTime Line::probe_at() const {
  return map_.line.probe && probed_ == kNever && connection_->reading() ? heard_ + map_.line.probe->every : kNever;
}

SteadyTime Line::turn_at() const {
  auto due = kNever;
  if (!asks_) return due;
  for (auto* device : devices_) {
    if (device->lane() == nullptr) continue;
    if (device->lane()->waits()) return kNever;
    due = std::min(due, device->lane()->due());
  }
  return std::max(due, quiet_until_);
}

void Line::arm() {
  if (closed_ || loop_.stopping) return;
  auto due = std::min({frame_silence_at(), silent_at(), probe_at(), turn_at()});
  if (devices_.empty()) due = std::min(due, opened_ + map_.line.identify.hold_time);
  if (due >= armed_) return;
  armed_ = due;
  timer_.expires_at(due);
  timer_.async_wait([self = weak_from_this()](net::error_code error) {
    if (const auto line = self.lock(); line && error != net::asio::error::operation_aborted) line->on_timer();
  });
}

void Line::on_timer() {
  armed_ = kNever;
  if (closed_ || loop_.stopping) return;
  const auto now = loop_.clock.steady();
  if (silent_at() <= now) {
    loop_.counters.silent.add();
    return close(probed_ != kNever ? "no answer to the probe" : "nothing was heard for tcp.silence", true);
  }
  if (probe_at() <= now) {
    probed_ = now;
    connection_->write(map_.line.probe->send);
  }
  if (frame_silence_at() <= now) connection_->frames().on_silence();
  read_frames();
  check_hold();
}

}  // namespace trunkline::tcp
