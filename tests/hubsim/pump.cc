// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/pump.h"

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/transport.h>

#include <boost/asio/post.hpp>
#include <cstring>

#include "gateway/base/check.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxGather = 256 * 1024;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string condition_text(pn_condition_t* condition) {
  if (!pn_condition_is_set(condition)) return {};
  std::string text = pn_condition_get_name(condition);
  if (const auto* description = pn_condition_get_description(condition)) text.append(": ").append(description);
  return text.substr(0, 512);
}

}  // namespace

Pump::Pump(std::unique_ptr<net::Stream> stream, std::string initial_bytes, Sink& sink)
    : stream_(std::move(stream)),
      timer_(stream_->executor()),
      peer_(stream_->peer()),
      sink_(&sink),
      initial_(std::move(initial_bytes)) {
  TRUNKLINE_CHECK(pn_connection_driver_init(&driver_, nullptr, nullptr) == 0, "Proton makes a connection driver");
  pn_transport_set_server(driver_.transport);
}

Pump::~Pump() {
  pn_connection_driver_destroy(&driver_);
}

void Pump::start() {
  boost::asio::post(stream_->executor(), [self = shared_from_this()] {
    if (self->ended_) return;
    pn_transport_tick(self->driver_.transport, now_ms());
    self->feed(self->initial_);
    self->initial_.clear();
    self->run();
    self->read();
  });
}

void Pump::wake() {
  if (wake_posted_ || ended_) return;
  wake_posted_ = true;
  boost::asio::post(stream_->executor(), [self = shared_from_this()] {
    self->wake_posted_ = false;
    self->run();
  });
}

void Pump::abort(const std::string& reason, bool with_reset) {
  if (ended_) return;
  if (with_reset) stream_->reset();
  end(reason);
}

void Pump::set_reading(bool reading) {
  reading_ = reading;
  read();
}

void Pump::forget_sink() {
  sink_ = nullptr;
}

void Pump::run() {
  if (ended_ || running_ || blackhole_) return;
  running_ = true;
  dispatch();
  // Frames are made only while nothing is being written: what the peer cannot take yet stays inside the engine.
  while (!ended_ && !write_outstanding_ && out_.size() < kMaxGather) {
    if (gather()) {
      dispatch();
      continue;
    }
    if (sink_ != nullptr) sink_->on_flushed();
    if (!dispatch() && pn_transport_pending(driver_.transport) <= 0) break;
  }
  running_ = false;
  if (ended_) return;
  write();
  arm();
  if (write_outstanding_) return;
  if (pn_connection_driver_finished(&driver_) || pn_connection_driver_write_closed(&driver_)) {
    auto reason = condition_text(pn_transport_condition(driver_.transport));
    if (reason.empty()) reason = condition_text(pn_connection_remote_condition(driver_.connection));
    end(reason);
  }
}

// True if there was an event.
bool Pump::dispatch() {
  bool any = false;
  while (!ended_) {
    auto* event = pn_connection_driver_next_event(&driver_);
    if (event == nullptr) break;
    any = true;
    if (sink_ != nullptr) sink_->on_event(event);
  }
  return any;
}

bool Pump::gather() {
  bool any = false;
  while (out_.size() < kMaxGather) {
    const auto bytes = pn_connection_driver_write_buffer(&driver_);
    if (bytes.size == 0) break;
    out_.append(bytes.start, bytes.size);
    pn_connection_driver_write_done(&driver_, bytes.size);
    any = true;
  }
  return any;
}

void Pump::feed(std::string_view bytes) {
  while (!bytes.empty() && !ended_) {
    const auto room = pn_connection_driver_read_buffer(&driver_);
    if (room.size == 0) return;
    const auto count = std::min(room.size, bytes.size());
    std::memcpy(room.start, bytes.data(), count);
    pn_connection_driver_read_done(&driver_, count);
    bytes.remove_prefix(count);
    dispatch();
  }
}

void Pump::read() {
  if (ended_ || blackhole_ || !reading_ || read_outstanding_ || pn_connection_driver_read_closed(&driver_)) return;
  read_outstanding_ = true;
  stream_->async_read_some(boost::asio::buffer(in_), [self = shared_from_this()](net::error_code error, std::size_t n) {
    if (self->ended_) return;
    if (self->blackhole_) {
      self->stalled_error_ = error;
      self->stalled_bytes_ = n;
      return;
    }
    self->took(error, n);
  });
}

void Pump::took(net::error_code error, std::size_t count) {
  read_outstanding_ = false;
  if (error) {
    pn_connection_driver_read_close(&driver_);
    if (error != boost::asio::error::eof) pn_connection_driver_close(&driver_);
  } else {
    feed({in_.data(), count});
  }
  run();
  read();
}

void Pump::set_blackhole(bool on) {
  if (ended_ || blackhole_ == on) return;
  blackhole_ = on;
  if (on) return;
  const auto self = shared_from_this();
  boost::asio::post(stream_->executor(), [self] {
    if (self->ended_ || self->blackhole_) return;
    const auto count = std::exchange(self->stalled_bytes_, 0);
    const auto error = std::exchange(self->stalled_error_, {});
    if (count != 0 || error) return self->took(error, count);
    self->run();
    self->read();
  });
}

void Pump::write() {
  if (ended_ || write_outstanding_ || out_.empty()) return;
  write_outstanding_ = true;
  stream_->async_write(boost::asio::buffer(out_), [self = shared_from_this()](net::error_code error, std::size_t) {
    self->write_outstanding_ = false;
    self->out_.clear();
    if (self->ended_) return;
    if (error) return self->end("write failed: " + error.message());
    self->run();
  });
}

// The engine says when it must be asked again: heartbeats to send, silence to punish.
void Pump::arm() {
  const auto next = pn_transport_tick(driver_.transport, now_ms());
  if (next == 0 || (armed_for_ != 0 && armed_for_ <= next)) return;
  armed_for_ = next;
  timer_.expires_at(boost::asio::steady_timer::time_point(std::chrono::milliseconds(next)));
  timer_.async_wait([self = shared_from_this()](net::error_code error) {
    if (error || self->ended_) return;
    self->armed_for_ = 0;
    self->run();
  });
}

void Pump::end(const std::string& reason) {
  if (ended_) return;
  ended_ = true;
  timer_.cancel();
  stream_->close();
  boost::asio::post(stream_->executor(), [self = shared_from_this(), reason] {
    if (self->sink_ != nullptr) self->sink_->on_end(reason);
  });
}

}  // namespace trunkline::hubsim
