// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "adapters/mqtt/outgoing.h"
#include "adapters/mqtt/paho_session.h"
#include "gateway/base/result.h"

namespace trunkline::mqtt {

// A second connection to the broker, for commands that its PUBACK is to prove (C-01): libmosquitto tells the reason of
// a PUBACK, "no matching subscribers" among them, which Paho hides. MQTT 5, clean start, client id with "-commands"
// behind it. It subscribes to nothing, so a held message never holds it up. Owned and called by the mqtt thread; a
// thread of its own tells SessionEvents: commands_ready once, lost at its end, published or publish_failed for each
// ticket unless the connection is lost before. Never connects twice. The destructor ends all events.
class CommandPublisher {
 public:
  static Result<std::unique_ptr<CommandPublisher>> open(const SessionOptions& options, std::uint64_t epoch,
                                                        SessionEvents& events);
  ~CommandPublisher();
  CommandPublisher(const CommandPublisher&) = delete;
  CommandPublisher& operator=(const CommandPublisher&) = delete;

  Result<void> publish(std::uint64_t ticket, const Outgoing& message);

 private:
  class Connection;
  explicit CommandPublisher(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace trunkline::mqtt
