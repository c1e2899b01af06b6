// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "adapters/mqtt/arrival_gate.h"
#include "adapters/mqtt/events.h"
#include "adapters/mqtt/roster.h"
#include "adapters/mqtt/unknown_topics.h"
#include "gateway/base/log_limit.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"

namespace trunkline::mqtt {

// What runs inside Paho's arrival callback: topic to device, then into intake until safe, or to the watch for a reply.
// Owned by the adapter; `take` is called on Paho's one receive thread and returns only when the message may be
// acknowledged or the connection is cut so that it cannot be.
class Arrivals {
 public:
  struct Place {
    std::string adapter;
    std::uint16_t broker_port = 0;
  };
  Arrivals(Place place, const Rosters& rosters, const Clock& clock, Metrics& metrics, EventQueue& events,
           UnknownTopics& unknown, ArrivalGate& gate, Ingress& ingress);

  void take(const Arrival& arrival) noexcept;

 private:
  void note_heard(const Roster& roster, std::size_t device);
  void take_telemetry(const Roster& roster, TopicMeaning& meaning, const Arrival& arrival);
  void take_reply(const Roster& roster, const TopicMeaning& meaning, const Arrival& arrival);
  void take_report(const Roster& roster, const TopicMeaning& meaning, const Arrival& arrival);
  void take_presence(const Roster& roster, TopicMeaning& meaning, const Arrival& arrival);
  void take_unknown(const Arrival& arrival);
  bool pass_damaged(const Arrival& arrival);

  Place place_;
  const Rosters& rosters_;
  const Clock& clock_;
  EventQueue& events_;
  UnknownTopics& unknown_;
  ArrivalGate& gate_;
  Ingress& ingress_;
  Metric& messages_;
  Metric& refused_;
  Metric& unmapped_;
  Metric& damaged_;
  Metric& retained_dropped_;
  Metric& replies_dropped_;
  Metric& reports_refused_;
  LogLimit unmapped_lines_;
  LogLimit damaged_lines_;
};

}  // namespace trunkline::mqtt
