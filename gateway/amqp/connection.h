// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/delivery.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <proton/connection.hpp>
#include <proton/messaging_handler.hpp>
#include <string>
#include <string_view>

#include "gateway/net/stream.h"

namespace trunkline::amqp {

// Why a connection ended: the AMQP condition the peer sent or Proton raised, or "trunkline:io" / "trunkline:watchdog"
// for ours.
struct EndReason {
  std::string condition;    // empty after an orderly close by both sides
  std::string description;  // printable, at most 512 bytes (Proton's texts may hold raw peer bytes)
  std::map<std::string, std::string, std::less<>> info = {};  // what the peer's close says besides, as Condition has it
};

// One AMQP 1.0 connection: Proton's connection_driver pumped over one byte stream (decision: ours, not the container).
// Generic; knows nothing of IoT Hub; serves both roles. Owned by one thread, the stream's executor; all calls and all
// handler callbacks happen there. The handler and every Proton object belong to this connection's epoch and die with
// it.
//
// The handler derives from proton::messaging_handler and must override on_error (the default throws). Work on Proton
// objects outside a callback, for example from a timer, is followed by wake().
//
// `on_end` is called exactly once, after the last handler callback, never from within start(), wake() or close(); the
// owner may destroy the connection in it.
class Connection {
 public:
  enum class Role { client, server };
  struct Options {
    Role role = Role::client;
    std::string container_id;
    std::string virtual_host;    // open.hostname; client only
    bool sasl_anonymous = true;  // client: SASL ANONYMOUS, else the bare AMQP header. Server: no SASL layer
    std::chrono::milliseconds idle_timeout{120'000};  // what we enforce; Proton advertises half of it
    std::uint32_t max_frame_size = 65'536;
    std::uint16_t channel_max = 8'191;
    std::string initial_bytes;  // server: read already from the stream, to be parsed first
    // If set, every complete incoming delivery goes here as bytes instead of being decoded for on_message, so that a
    // body that Proton cannot read (it would end the connection) is the callee's to judge. It is called just before the
    // handler's callbacks of the same bytes, and must not free links.
    std::function<void(pn_delivery_t*, std::string_view)> on_bytes;
    // If set, every update of a sent delivery (a state or settlement from the peer) goes here, once, instead of to the
    // handler's on_tracker_…; when and what it must not do as with on_bytes.
    std::function<void(pn_delivery_t*)> on_update;
    std::size_t max_delivery = 4 * 1024 * 1024;  // with on_bytes: a larger one ends the connection
  };
  using EndHandler = std::function<void(EndReason)>;

  Connection(std::unique_ptr<net::Stream> stream, Options options, proton::messaging_handler& handler,
             EndHandler on_end);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  // Flushes what was done to Proton objects outside of callbacks: schedules one pump, however often it is called.
  void wake();
  // Orderly: sends close and waits for the peer's; ends after `limit` in any case.
  void close(std::chrono::milliseconds limit);
  // At once, without a word to the peer.
  void abort(EndReason reason);
  // For fault injection by the simulator: closes the socket with RST, or stops reading from it until further notice.
  void reset();
  void set_reading(bool reading);

  [[nodiscard]] proton::connection proton();
  [[nodiscard]] std::string peer() const;

 private:
  class Pump;
  std::shared_ptr<Pump> pump_;
};

}  // namespace trunkline::amqp
