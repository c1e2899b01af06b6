// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/mqtt/arrival_gate.h"
#include "adapters/mqtt/command_desk.h"
#include "adapters/mqtt/events.h"
#include "adapters/mqtt/presence_watch.h"
#include "adapters/mqtt/roster.h"
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
  // `rosters` is what the arrivals read; the watch replaces it when another one comes. can_tell: a PUBACK's reason, so
  // that commands which it is to prove go over a connection of their own.
  BrokerWatch(std::string adapter, std::string broker, Rosters& rosters, bool retained_come_again, bool can_tell,
              const Clock& clock, Metrics& metrics, EventQueue& events, JobQueue& jobs, ArrivalGate& gate,
              Ingress& ingress);

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
  void on(RosterCame& event);
  void on(const StopAsked& event);

  SteadyTime tick();
  void tick_link();
  void tick_presence();
  void send_orders();
  void lose(const std::string& why);
  void become_up();
  void answered();
  void set_device(std::size_t place);
  void take_roster(RosterCame event);
  void subscribe_to_difference();
  void finish_change(Result<void> result);
  void tell_changed(Result<void> result);
  void show_up();
  [[nodiscard]] Result<std::string> topic_for(std::size_t device, const Command& command) const;
  [[nodiscard]] Outgoing to_outgoing(PublishOrder& order) const;

  const std::string adapter_;
  const std::string broker_;
  Rosters& rosters_;
  RosterPtr roster_;
  RosterPtr asked_;  // whose topics the broker was asked for: behind roster_ if a change was put off
  const bool retained_come_again_;
  const bool can_tell_;
  bool commands_apart_;
  const Clock& clock_;
  EventQueue& events_;
  JobQueue& jobs_;
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
  std::string change_refused_;
  bool changing_ = false;                      // another roster's subscriptions are not answered yet
  std::vector<std::string> to_drop_;           // filters, once the change holds
  std::optional<RosterCame> next_roster_;      // waits for the answers to the subscriptions before it
  std::function<void(Result<void>)> changed_;  // whoever waits for the change; nobody once it was put off
  SteadyTime put_off_at_ = kNever;
  std::optional<SteadyTime> stop_by_;
};

}  // namespace trunkline::mqtt
