// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/connection_driver.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "gateway/net/stream.h"

namespace trunkline::hubsim {

// One AMQP connection of a client: Proton's C connection_driver over a byte stream. The hub wants raw deliveries, which
// the C++ adapter behind amqp::Connection does not give: it recognises batches by their bytes, refuses one malformed
// message instead of losing the connection, and takes messages in at engine speed. Owned by its HubConnection through a
// shared_ptr (outstanding reads and writes hold it too); everything happens on the stream's executor.
//
// on_event gets every engine event. on_flushed is called after what the events caused was turned into frames, so that
// what is sent in it follows all of that on the wire. on_end is called once, from the executor, never from within
// another call; the sink is not called after it.
class Pump : public std::enable_shared_from_this<Pump> {
 public:
  struct Sink {
    virtual ~Sink() = default;
    virtual void on_event(pn_event_t* event) = 0;
    virtual void on_flushed() = 0;
    virtual void on_end(const std::string& reason) = 0;
  };

  Pump(std::unique_ptr<net::Stream> stream, std::string initial_bytes, Sink& sink);
  ~Pump();
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  void start();
  // Schedules one run for what was done to engine objects outside of events, however often it is called.
  void wake();
  // At once, without a word of AMQP: by FIN, or by RST.
  void abort(const std::string& reason, bool with_reset);
  void set_reading(bool reading);
  // As if every packet were lost: nothing that arrived is taken, nothing is sent, heartbeats included. Ending it goes
  // on where it stopped.
  void set_blackhole(bool on);
  // No call reaches the sink any more.
  void forget_sink();

  [[nodiscard]] pn_connection_t* connection() const { return driver_.connection; }
  [[nodiscard]] pn_transport_t* transport() const { return driver_.transport; }
  [[nodiscard]] std::string peer() const { return peer_; }

 private:
  void run();
  bool dispatch();
  bool gather();
  void feed(std::string_view bytes);
  void read();
  void took(net::error_code error, std::size_t count);
  void write();
  void arm();
  void end(const std::string& reason);

  std::unique_ptr<net::Stream> stream_;
  boost::asio::steady_timer timer_;
  std::string peer_;
  pn_connection_driver_t driver_{};
  Sink* sink_;
  std::string initial_;
  std::array<char, 64 * 1024> in_{};
  std::string out_;
  bool reading_ = true;
  bool read_outstanding_ = false;
  bool write_outstanding_ = false;
  bool wake_posted_ = false;
  bool running_ = false;
  bool ended_ = false;
  bool blackhole_ = false;
  std::size_t stalled_bytes_ = 0;  // read, and kept in in_ while the black hole lasts
  net::error_code stalled_error_;
  std::int64_t armed_for_ = 0;
};

}  // namespace trunkline::hubsim
