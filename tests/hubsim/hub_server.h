// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"

namespace trunkline::hubsim {

struct NamedKey {
  std::string name;
  std::string key;  // base64, as in a connection string
};

// What a hub lets one change for a test; the defaults are the live hub's figures.
struct HubLimits {
  std::chrono::milliseconds lock{60'000};            // C2D lock
  std::chrono::milliseconds default_ttl{3'600'000};  // C2D without absolute-expiry-time
  unsigned max_delivery_count = 10;
  std::size_t queue_depth = 50;
  std::size_t tokens_per_connection = 1000;          // identities ever authorised on it
  std::chrono::milliseconds expiry_delay{0};         // from a token's expiry to the detach of its links
  std::chrono::milliseconds feedback_delay{15'000};  // a batch leaves at 64 records or so long after the last one
  std::chrono::milliseconds handshake{10'000};       // TLS, then SASL and open
  int telemetry_credit = 1000;
};

struct HubOptions {
  std::string listen = "127.0.0.1:0";
  std::vector<std::string> also_listen;  // further addresses, for example as the target of a redirect
  std::string hub_name = "hub1";         // the host name is this if it has a dot, else with ".azure-devices.net" behind
  std::string state_directory;           // CA and server certificate, made if missing
  std::string https;                     // where the service side listens; empty: nowhere
  std::vector<NamedKey> devices;         // of a module "device/module"
  std::vector<NamedKey> policies;        // none: iothubowner and service with random keys
  std::string control_socket;            // empty: none
  bool record_bodies = true;             // false: arrivals are counted only
  std::string events_file;               // empty: none; else one JSON line per arrival is appended
  HubLimits limits;
  const Clock* clock = nullptr;  // not owned, outlives the server; nullptr: the system's. Timers run in real time
};

// One telemetry message that the hub took. `index` counts all arrivals from 1, `sequence` those of the device from 1.
struct Arrival {
  std::uint64_t index = 0;
  std::uint64_t sequence = 0;
  std::string device;
  std::string message_id;
  std::string correlation_id;
  std::string content_type;
  std::string content_encoding;
  std::vector<std::pair<std::string, std::string>> properties;
  std::string body;
  WallTime enqueued{};
  std::uint64_t connection = 0;
};

// The hub simulator inside a test or a program. Owns one thread on which everything happens; every method may be called
// from any other thread and waits for that thread. Failure to start is the Result; what is asked of a running hub fails
// only by the answer's "error". Destroying it closes every connection at once and joins the thread.
//
//   auto hub = HubServer::start({.state_directory = dir, .devices = {{"d1", key}}}).value();
//   ... client connects to hub->address() with hub->ca_file() and the name hub->host() ...
//   hub->wait_arrivals("d1", 3, 5s);
class HubServer {
 public:
  static Result<std::unique_ptr<HubServer>> start(HubOptions options);
  ~HubServer();
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  [[nodiscard]] std::string host() const;
  [[nodiscard]] std::string address() const;                 // "127.0.0.1:PORT"
  [[nodiscard]] std::vector<std::string> addresses() const;  // that one first, then those of also_listen
  [[nodiscard]] std::string https_address() const;           // empty without options.https
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string ca_file() const;
  [[nodiscard]] std::vector<NamedKey> policies() const;

  // Any operation of the control socket: a JSON object in, a JSON object out (README.md lists them). A wait blocks
  // until it is answered or its own timeout_ms ends.
  std::string control(std::string_view request);

  // The ones that tests use most. `device` empty means all devices.
  std::string add_device(const std::string& id, const std::string& key = {});  // the key, random if none is given
  [[nodiscard]] std::vector<Arrival> arrivals(const std::string& device = {});
  [[nodiscard]] std::uint64_t arrival_count(const std::string& device = {});
  bool wait_arrivals(const std::string& device, std::uint64_t count, std::chrono::milliseconds timeout);
  Result<std::uint64_t> enqueue(const std::string& device, const std::string& body, const std::string& message_id = {});
  // "completed", "rejected", "expired", "delivery_count_exceeded"; or where it is now: "queued", "locked"
  std::string wait_outcome(const std::string& device, std::uint64_t sequence, std::chrono::milliseconds timeout);
  [[nodiscard]] std::size_t connections_now();
  [[nodiscard]] std::uint64_t connections_ever();

 private:
  class Impl;
  explicit HubServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline::hubsim
