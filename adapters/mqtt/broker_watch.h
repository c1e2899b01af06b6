// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/mqtt/arrival_gate.h"
#include "adapters/mqtt/command_desk.h"
#include "adapters/mqtt/events.h"
#include "adapters/mqtt/presence_watch.h"
#include "adapters/mqtt/topic_table.h"
#include "gateway/base/backoff.h"
#include "gateway/base/guarded.h"
#include "gateway/base/log_limit.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::mqtt {

// One line about the connection, for ops.
struct LinkStatus {
  bool healthy = false;
  std::string detail = "not started";
};

// The watch thread: the connection's state, reconnection, commands with their deadlines, and presence. It never calls
// Paho and never waits for whoever does, so deadlines hold while the mqtt thread is blocked.
class BrokerWatch {
 public:
  BrokerWatch(std::string adapter, std::string broker, const std::vector<DeviceMap>& devices,
              const std::vector<Subscription>& topics, bool retained_come_again, bool commands_apart,
              const Clock& clock, Metrics& metrics, EventQueue& events, JobQueue& jobs, DeviceNotes& notes,
              ArrivalGate& gate, Ingress& ingress);

  // Until StopAsked; it ends with the last job for the mqtt thread and no more calls into Ingress.
  void run();

  // Any thread.
  [[nodiscard]] LinkStatus status() const {
    return status_.with([](const LinkStatus& status) { return status; });
  }

 private:
  enum class Link { idle, connecting, subscribing, up };

  void on(CommandCame& event);
  void on(const SessionUp& event);
  void on(const SessionLost& event);
  void on(const SubscribeSent& event);
  void on(const SubscribeAnswered& event);
  void on(const CommandsReady& event);
  void on(const PublishHanded& event);
  void on(const PublishAnswered& event);
  void on(const PublishFailed& event);
  void on(const ReplyCame& event);
  void on(const ReportCame& event);
  void on(const PresenceSaid& event);
  void on(const HeardAgain& event);
  void on(const StopAsked& event);

  SteadyTime tick();
  void tick_link();
  void tick_presence();
  void send_orders();
  void lose(const std::string& why);
  void become_up();
  void answered();
  [[nodiscard]] Result<std::string> topic_for(std::size_t device, const Command& command) const;
  [[nodiscard]] Outgoing to_outgoing(PublishOrder& order) const;

  const std::string adapter_;
  const std::string broker_;
  const std::vector<DeviceMap>& devices_;
  const std::vector<Subscription>& topics_;
  const bool retained_come_again_;
  const bool commands_apart_;
  const Clock& clock_;
  EventQueue& events_;
  JobQueue& jobs_;
  DeviceNotes& notes_;
  ArrivalGate& gate_;
  Ingress& ingress_;
  Metric& connections_;
  Metric& replies_unmatched_;
  Guarded<LinkStatus> status_;

  CommandDesk desk_;
  PresenceWatch presence_;
  Backoff backoff_;
  LogLimit failure_lines_;
  LogLimit reply_lines_;
  SteadyTime now_;
  Link link_ = Link::idle;
  std::uint64_t epoch_ = 0;
  SteadyTime retry_at_;
  SteadyTime patience_ = kNever;
  bool session_present_ = false;
  bool was_up_ = false;
  bool subscribed_ = false;  // all of them, once in this process
  std::size_t answers_missing_ = 0;
  std::string refused_topic_;
  std::optional<SteadyTime> stop_by_;
};

}  // namespace trunkline::mqtt
