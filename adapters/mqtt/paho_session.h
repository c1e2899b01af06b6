// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/mqtt/outgoing.h"
#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/core/message.h"

namespace trunkline::mqtt {

struct SessionOptions {
  std::string uri;   // "tcp://host:port" or "ssl://host:port"
  std::string host;  // the same in parts
  std::uint16_t port = 0;
  std::string client_id;
  std::string user;
  Secret password;
  std::string ca_file;  // empty: the system's store
  std::string cert;     // our own certificate and its key, if the broker wants one
  std::string key;
  bool tls = false;
  bool verify_certificate = true;
  bool verify_host = true;
  bool v311 = false;   // MQTT 3.1.1: no properties, no reasons
  bool clean = false;  // begin without a session, and leave none
  std::uint32_t session_seconds =
      0xFFFF'FFFF;  // how long the broker keeps it; never ends (MQTT 5.0 section 3.1.2.11.2)
  Milliseconds keep_alive{30'000};
};

// A message that the broker brought. Views and references live as long as the callback.
struct Arrival {
  const std::string& topic;
  const std::string& payload;
  bool retained = false;
  std::string content_type;
  std::optional<std::string> correlation;
  std::vector<Property> properties;
  bool damaged = false;  // the topic, or something that was left out, is no UTF-8, which a broker must not pass on
};

// What happens to one session, told on Paho's threads while they hold its process-wide mutex, or on a
// CommandPublisher's: implementations hand over and return at once and never call Paho. `arrived` alone may block, and
// returning from it acknowledges the message.
class SessionEvents {
 public:
  virtual ~SessionEvents() = default;
  virtual void connected(std::uint64_t epoch, bool session_present) noexcept = 0;
  virtual void lost(std::uint64_t epoch, std::string why) noexcept = 0;  // also: could not connect; may come twice
  virtual void subscribed(std::uint64_t epoch, std::size_t place, unsigned reason) noexcept = 0;
  virtual void commands_ready(std::uint64_t /*epoch*/) noexcept {}  // a CommandPublisher is connected
  virtual void published(std::uint64_t ticket) noexcept = 0;
  virtual void publish_failed(std::uint64_t ticket, unsigned reason, std::string why) noexcept = 0;
  virtual void arrived(const Arrival& arrival) noexcept = 0;
};

// One connection to a broker and the Paho client behind it, which is never used for a second one: what a lost
// connection left in Paho's memory must not be sent later. MQTT 5 or 3.1.1, no clean start, session expiry never, no
// Paho persistence, no reconnection of Paho's. Owned and called by the mqtt thread only; each call may block while a
// message is held. Nothing throws. The destructor says goodbye to the broker, if it is there, and ends all events.
class PahoSession {
 public:
  static Result<std::unique_ptr<PahoSession>> open(const SessionOptions& options, std::uint64_t epoch,
                                                   SessionEvents& events);
  ~PahoSession();
  PahoSession(const PahoSession&) = delete;
  PahoSession& operator=(const PahoSession&) = delete;

  // QoS 1, answered by `subscribed` with this place. `retained_again`: also when the subscription stands already.
  Result<void> subscribe(std::size_t place, const std::string& topic, bool retained_again);

  // What the broker says to it changes nothing for us: a message that nobody maps is acknowledged and counted.
  Result<void> unsubscribe(const std::string& topic);

  // QoS 1, not retained, answered by `published` or `publish_failed`, unless the connection is lost before.
  Result<void> publish(std::uint64_t ticket, const Outgoing& message);

 private:
  class Client;
  explicit PahoSession(std::unique_ptr<Client> client);
  std::unique_ptr<Client> client_;
};

}  // namespace trunkline::mqtt
