// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "adapters/mqtt/arrival_gate.h"
#include "adapters/mqtt/command_publisher.h"
#include "adapters/mqtt/events.h"
#include "adapters/mqtt/topic_table.h"
#include "gateway/base/result.h"

namespace trunkline::mqtt {

// The mqtt thread: the only one that calls Paho, and the one that calls the publisher of commands. A call may block for
// as long as a message is held, because Paho keeps its process-wide mutex over the arrival callback; that delays jobs
// and nothing else.
class Caller {
 public:
  // `options` is asked anew for every connection, so that a changed password file counts.
  using OptionsSource = std::function<Result<SessionOptions>()>;
  Caller(OptionsSource options, JobQueue& jobs, EventQueue& events, SessionEvents& session_events,
         const ArrivalGate& gate);

  // Until Quit; afterwards no callback of Paho runs or will run.
  void run();

 private:
  void carry_out(const OpenSession& job);
  void carry_out(const Subscribe& job);
  void carry_out(const Publish& job);
  void carry_out(const CloseSession& job);
  void carry_out(const Quit& job);
  bool open_commands(std::uint64_t epoch);
  void publish_apart(const Publish& job);
  void close();
  [[nodiscard]] bool is_open(std::uint64_t epoch) const { return session_ && epoch_ == epoch; }

  OptionsSource options_;
  JobQueue& jobs_;
  EventQueue& events_;
  SessionEvents& session_events_;
  const ArrivalGate& gate_;
  std::unique_ptr<PahoSession> session_;
  std::unique_ptr<CommandPublisher> commands_;
  std::uint64_t epoch_ = 0;
  bool quit_ = false;
};

}  // namespace trunkline::mqtt
