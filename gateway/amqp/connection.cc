// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/connection.h"

#include <proton/connection.h>
#include <proton/transport.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <proton/connection_options.hpp>
#include <proton/error_condition.hpp>
#include <proton/io/connection_driver.hpp>
#include <proton/transport.hpp>
#include <vector>

#include "gateway/amqp/deliveries.h"
#include "gateway/amqp/engine.h"
#include "gateway/base/check.h"

namespace trunkline::amqp {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 64 * 1024;
// Enough for many TLS records per write; Proton keeps what is beyond, so nothing is bounded twice.
constexpr std::size_t kWriteBytes = 256 * 1024;
// For the last words to a peer that we are done with.
constexpr milliseconds kFarewell{1'000};

// Proton measures idleness in milliseconds of any steady clock.
proton::timestamp proton_now() {
  return proton::timestamp(std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

proton::connection_options proton_options(const Connection::Options& options, proton::messaging_handler& handler) {
  proton::connection_options result;
  result.handler(handler);
  result.container_id(options.container_id);
  result.max_frame_size(options.max_frame_size);
  result.max_sessions(options.channel_max);
  result.idle_timeout(proton::duration(static_cast<proton::duration::numeric_type>(options.idle_timeout.count())));
  if (options.role == Connection::Role::client) {
    if (!options.virtual_host.empty()) result.virtual_host(options.virtual_host);
    result.sasl_enabled(options.sasl_anonymous);
    if (options.sasl_anonymous) result.sasl_allowed_mechs("ANONYMOUS");
  } else {
    result.sasl_enabled(false);
  }
  return result;
}

}  // namespace

// Shared with its outstanding operations; `connection_gone_` and `ended_` say when it has nothing to do any more.
class Connection::Pump final : public std::enable_shared_from_this<Pump> {
 public:
  Pump(std::unique_ptr<net::Stream> stream, Options options, proton::messaging_handler& handler, EndHandler on_end)
      : stream_(std::move(stream)),
        executor_(stream_->executor()),
        options_(std::move(options)),
        handler_(handler),
        on_end_(std::move(on_end)),
        peer_(stream_->peer()),
        driver_(options_.container_id),
        tick_timer_(executor_),
        limit_timer_(executor_) {}

  void start() {
    try {
      const auto options = proton_options(options_, handler_);
      options_.role == Role::client ? driver_.connect(options) : driver_.accept(options);
    } catch (const std::exception& e) {
      return end({"trunkline:internal", printable(e.what())});
    }
    filled_ = options_.initial_bytes.size();
    inbox_.assign(options_.initial_bytes.begin(), options_.initial_bytes.end());
    inbox_.resize(std::max(kReadBytes, filled_));
    wake();
  }

  void wake() {
    if (woken_ || ended_) return;
    woken_ = true;
    net::asio::post(executor_, [self = shared_from_this()] {
      self->woken_ = false;
      self->pump();
    });
  }

  void close(milliseconds limit) {
    if (ended_) return;
    driver_.connection().close();
    limit_timer_.expires_after(limit);
    limit_timer_.async_wait([self = shared_from_this()](net::error_code error) {
      if (!error) self->end({"trunkline:watchdog", "the peer did not close in time"});
    });
    wake();
  }

  void abort(EndReason reason) { end(std::move(reason)); }

  void reset() {
    if (ended_) return;
    stream_->reset();
    end({"trunkline:io", "reset by us"});
  }

  void set_reading(bool reading) {
    reading_ = reading;
    if (reading) wake();
  }

  // The owner is gone: no callback any more, and the socket closes.
  void abandon() {
    TRUNKLINE_CHECK(!dispatching_, "a connection is not destroyed from within its handler");
    on_end_ = nullptr;
    ended_ = true;
    release_io();
  }

  proton::connection connection() { return driver_.connection(); }
  const std::string& peer() const { return peer_; }

 private:
  pn_transport_t* transport() { return handle<pn_transport_t>(driver_.transport()); }
  pn_connection_t* engine() { return handle<pn_connection_t>(driver_.connection()); }

  void pump() {
    if (ended_ || leaving_) return;
    feed();
    dispatch();
    if (ended_) return;
    if (const auto failure = read_condition(); failure.set()) return leave({failure.name, failure.description});
    tick();
    write();
    if (driver_.has_events()) wake();  // writing makes events too: links that may send again
    if (closed_both_sides() && !writing_ && outbox_.empty()) return end(close_reason());
    if (input_ended_ && filled_ == 0) return lost(input_error_);
    if (reading_) read();
  }

  void dispatch() {
    dispatching_ = true;
    if (!leaving_) deliveries_.take(engine(), options_);
    // An exception of a handler is kept by Proton as the transport's condition; read_condition() finds it.
    driver_.dispatch();
    dispatching_ = false;
  }

  Condition read_condition() { return amqp::read(pn_transport_condition(transport())); }

  // Hands Proton what was read. The bytes go through a buffer of ours, because Proton may move its own meanwhile.
  void feed() {
    if (!reading_) return;
    std::size_t done = 0;
    while (done < filled_) {
      auto space = driver_.read_buffer();
      if (space.size == 0) {
        dispatch();
        space = driver_.read_buffer();
        if (ended_ || space.size == 0) break;  // Proton takes no more input: its transport is closing
      }
      const auto n = std::min(space.size, filled_ - done);
      std::memcpy(space.data, inbox_.data() + done, n);
      driver_.read_done(n);
      done += n;
    }
    filled_ = 0;
  }

  void read() {
    if (is_reading_ || input_ended_ || filled_ > 0) return;
    is_reading_ = true;
    stream_->async_read_some(net::asio::buffer(inbox_),
                             [self = shared_from_this()](net::error_code error, std::size_t n) {
                               self->is_reading_ = false;
                               if (self->ended_) return;
                               self->filled_ = n;
                               if (error) {
                                 self->input_ended_ = true;
                                 self->input_error_ = error;
                               }
                               self->pump();
                             });
  }

  // Gathers as much as Proton has into one write.
  void gather() {
    while (outbox_.size() < kWriteBytes) {
      const auto ready = driver_.write_buffer();
      if (ready.size == 0) break;
      outbox_.append(ready.data, ready.size);
      driver_.write_done(ready.size);
    }
  }

  void write() {
    if (writing_) return;
    gather();
    if (outbox_.empty()) return;
    writing_ = true;
    stream_->async_write(net::asio::buffer(outbox_), [self = shared_from_this()](net::error_code error, std::size_t) {
      self->writing_ = false;
      self->outbox_.clear();
      if (self->ended_) return;
      if (self->leaving_) return self->write_farewell();
      if (error) return self->lost(error);
      self->pump();
    });
  }

  void tick() {
    const auto next = driver_.tick(proton_now());
    if (next.milliseconds() == 0) return;
    const auto when = steady_clock::time_point(milliseconds(next.milliseconds()));
    if (tick_armed_ && when >= tick_at_) return;  // an early tick is harmless and cheaper than a new timer per pump
    tick_armed_ = true;
    tick_at_ = when;
    tick_timer_.expires_at(when);
    tick_timer_.async_wait([self = shared_from_this()](net::error_code error) {
      if (error) return;
      self->tick_armed_ = false;
      self->pump();
    });
  }

  bool closed_both_sides() {
    const auto state = pn_connection_state(engine());
    return (state & PN_LOCAL_CLOSED) != 0 && (state & PN_REMOTE_CLOSED) != 0 && driver_.write_buffer().size == 0;
  }

  EndReason close_reason() {
    auto condition = amqp::read(pn_connection_remote_condition(engine()));
    return {std::move(condition.name), std::move(condition.description), std::move(condition.info)};
  }

  // The stream ended or failed.
  void lost(const net::error_code& error) {
    if ((pn_connection_state(engine()) & PN_REMOTE_CLOSED) != 0) return end(close_reason());
    leave({"trunkline:io", error == net::asio::error::eof ? "the peer ended the connection without an AMQP close"
                                                          : printable(error.message())});
  }

  // The AMQP connection is over, but Proton may have a last frame for the peer (the error that it closes with).
  void leave(EndReason reason) {
    if (leaving_ || ended_) return;
    leaving_ = true;
    reason_ = std::move(reason);
    if (!input_ended_) gather_farewell();
    driver_.disconnected(proton::error_condition(reason_.condition, reason_.description));
    dispatch();
    if (ended_) return;
    limit_timer_.expires_after(kFarewell);
    limit_timer_.async_wait([self = shared_from_this()](net::error_code error) {
      if (!error) self->end(self->reason_);
    });
    if (!writing_) write_farewell();
  }

  void gather_farewell() {
    for (auto ready = driver_.write_buffer(); ready.size > 0 && farewell_.size() < kWriteBytes;
         ready = driver_.write_buffer()) {
      farewell_.append(ready.data, ready.size);
      driver_.write_done(ready.size);
    }
  }

  void write_farewell() {
    if (farewell_.empty()) return end(reason_);
    outbox_ = std::exchange(farewell_, {});
    writing_ = true;
    stream_->async_write(net::asio::buffer(outbox_), [self = shared_from_this()](net::error_code, std::size_t) {
      self->writing_ = false;
      self->end(self->reason_);
    });
  }

  void end(EndReason reason) {
    if (ended_) return;
    ended_ = true;
    release_io();
    net::asio::post(executor_, [self = shared_from_this(), why = std::move(reason)]() mutable {
      if (auto on_end = std::exchange(self->on_end_, nullptr)) on_end(std::move(why));
    });
  }

  void release_io() {
    tick_timer_.cancel();
    limit_timer_.cancel();
    stream_->close();
  }

  std::unique_ptr<net::Stream> stream_;
  net::asio::any_io_executor executor_;
  Options options_;
  proton::messaging_handler& handler_;
  EndHandler on_end_;
  std::string peer_;
  proton::io::connection_driver driver_;
  net::asio::steady_timer tick_timer_;
  net::asio::steady_timer limit_timer_;
  steady_clock::time_point tick_at_;
  std::vector<char> inbox_;  // read, and not yet Proton's
  std::size_t filled_ = 0;
  Deliveries deliveries_;
  std::string outbox_;    // Proton's, being written
  std::string farewell_;  // to be written after outbox_ and before the end
  EndReason reason_;
  net::error_code input_error_;
  bool woken_ = false;
  bool is_reading_ = false;
  bool reading_ = true;
  bool writing_ = false;
  bool tick_armed_ = false;
  bool input_ended_ = false;
  bool dispatching_ = false;
  bool leaving_ = false;
  bool ended_ = false;
};

Connection::Connection(std::unique_ptr<net::Stream> stream, Options options, proton::messaging_handler& handler,
                       EndHandler on_end)
    : pump_(std::make_shared<Pump>(std::move(stream), std::move(options), handler, std::move(on_end))) {}

Connection::~Connection() {
  pump_->abandon();
}

void Connection::start() {
  pump_->start();
}
void Connection::wake() {
  pump_->wake();
}
void Connection::close(milliseconds limit) {
  pump_->close(limit);
}
void Connection::abort(EndReason reason) {
  pump_->abort(std::move(reason));
}
void Connection::reset() {
  pump_->reset();
}
void Connection::set_reading(bool reading) {
  pump_->set_reading(reading);
}
proton::connection Connection::proton() {
  return pump_->connection();
}
std::string Connection::peer() const {
  return pump_->peer();
}

}  // namespace trunkline::amqp
