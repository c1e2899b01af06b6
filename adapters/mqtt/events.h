// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "adapters/mqtt/paho_session.h"
#include "adapters/mqtt/reply_match.h"
#include "adapters/mqtt/roster.h"
#include "adapters/mqtt/wait_queue.h"
#include "gateway/base/completion.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"

namespace trunkline::mqtt {

// What the watch thread is told. An epoch names one connection; what carries an old one is ignored.
struct CommandCame {
  std::size_t device = 0;
  Command command;
  Completion<Outcome> done;
};
struct SessionUp {
  std::uint64_t epoch = 0;
  bool session_present = false;
};
struct SessionLost {
  std::uint64_t epoch = 0;
  std::string why;
};
struct SubscribeSent {
  std::uint64_t epoch = 0;
};
struct SubscribeAnswered {
  std::uint64_t epoch = 0;
  std::size_t place = 0;  // of the topic in the list of all
  unsigned reason = 0;
};
struct CommandsReady {
  std::uint64_t epoch = 0;
};
struct PublishHanded {
  std::uint64_t ticket = 0;
};
struct PublishAnswered {
  std::uint64_t ticket = 0;
};
struct PublishFailed {
  std::uint64_t ticket = 0;
  unsigned reason = 0;  // MQTT 5.0 section 2.4, 0 if the broker said nothing
  std::string why;
};
struct ReplyCame {
  std::size_t device = 0;
  Reply reply;
};
struct ReportCame {
  std::size_t device = 0;
  std::string patch;
};
// What a presence topic says of devices; nothing: it was cleared, so nobody knows.
struct PresenceSaid {
  std::vector<std::size_t> devices;
  bool bridge = false;
  std::optional<bool> online;
};
struct HeardAgain {
  std::size_t device = 0;
};
struct RosterCame {
  RosterPtr roster;
  std::function<void(Result<void>)> done;
};
struct StopAsked {
  SteadyTime deadline;
};
using Event = std::variant<CommandCame, SessionUp, SessionLost, SubscribeSent, SubscribeAnswered, CommandsReady,
                           PublishHanded, PublishAnswered, PublishFailed, ReplyCame, ReportCame, PresenceSaid,
                           HeardAgain, RosterCame, StopAsked>;
using EventQueue = WaitQueue<Event>;

// What the mqtt thread is asked to do with Paho.
struct OpenSession {
  std::uint64_t epoch = 0;
};
struct Subscribe {
  std::uint64_t epoch = 0;
  std::vector<std::pair<std::size_t, Subscription>> wanted;  // with their places, by which they are answered
  std::vector<std::string> dropped{};                        // filters
  bool commands_apart = false;  // commands that a PUBACK is to prove go over a connection that tells its reason
};
struct Publish {
  std::uint64_t epoch = 0;
  std::uint64_t ticket = 0;
  Outgoing message;
  std::shared_ptr<std::atomic<bool>> withdrawn;
  bool apart = false;  // over the connection that tells the PUBACK's reason
};
struct CloseSession {
  std::uint64_t epoch = 0;
};
struct Quit {};
using Job = std::variant<OpenSession, Subscribe, Publish, CloseSession, Quit>;
using JobQueue = WaitQueue<Job>;

}  // namespace trunkline::mqtt
