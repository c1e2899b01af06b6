// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/arrivals.h"

#include "adapters/mqtt/cut.h"
#include "gateway/base/log.h"

namespace trunkline::mqtt {

namespace {

constexpr std::chrono::seconds kLinePeriod{10};
constexpr std::size_t kMaxReplies = 10'000;

Telemetry to_telemetry(const DeviceMap& device, const Arrival& arrival) {
  return Telemetry{device.id,
                   arrival.payload,
                   device.content_type.empty() ? arrival.content_type : device.content_type,
                   device.content_encoding,
                   arrival.properties,
                   {},
                   Source::mqtt,
                   true};  // the arrival callback is held until the answer
}

}  // namespace

Arrivals::Arrivals(Place place, const std::vector<DeviceMap>& devices, const TopicTable& topics, const Clock& clock,
                   Metrics& metrics, EventQueue& events, DeviceNotes& notes, ArrivalGate& gate, Ingress& ingress)
    : place_(std::move(place)),
      devices_(devices),
      topics_(topics),
      clock_(clock),
      events_(events),
      notes_(notes),
      gate_(gate),
      ingress_(ingress),
      messages_(metrics.metric("mqtt_messages_total", "Messages that brokers brought from mapped devices")),
      refused_(metrics.metric("mqtt_refused_total", "Messages that intake refused and the broker was acknowledged")),
      unmapped_(metrics.metric("mqtt_unmapped_total", "Messages on a topic that belongs to no device")),
      replies_dropped_(metrics.metric("mqtt_replies_dropped_total", "Command replies dropped because too many waited")),
      refusal_lines_(kLinePeriod),
      unmapped_lines_(kLinePeriod) {}

void Arrivals::take(const Arrival& arrival) noexcept {
  const auto* meaning = topics_.find(arrival.topic);
  if (meaning == nullptr) {
    unmapped_.add();
    if (const auto more = unmapped_lines_.allow(clock_.steady())) {
      log::warning("message_unmapped", {{"adapter", place_.adapter}, {"topic", arrival.topic}, {"suppressed", *more}});
    }
    return;
  }
  // A retained message was said long ago and tells nothing about now.
  if (!arrival.retained) note_heard(meaning->device);
  if (meaning->role == TopicRole::telemetry) {
    take_telemetry(devices_[meaning->device], arrival);
  } else if (!arrival.retained) {
    ReplyCame reply{meaning->device, {arrival.correlation, arrival.payload}};
    if (!events_.push_bounded(std::move(reply), kMaxReplies)) replies_dropped_.add();
  }
}

void Arrivals::note_heard(std::size_t device) {
  auto& note = notes_[device];
  note.heard.store(clock_.steady().time_since_epoch().count(), std::memory_order_relaxed);
  note.heard_at.store(clock_.wall().time_since_epoch().count(), std::memory_order_relaxed);
  if (note.reachable.load(std::memory_order_relaxed)) return;
  if (!note.sign_of_life_sent.exchange(true)) events_.push(HeardAgain{device});
}

void Arrivals::take_telemetry(const DeviceMap& device, const Arrival& arrival) {
  messages_.add();
  const auto verdict = gate_.pass(ingress_, [&] { return to_telemetry(device, arrival); });
  switch (verdict.kind) {
    case ArrivalGate::Verdict::Kind::safe:
      return;
    case ArrivalGate::Verdict::Kind::refused:
      refused_.add();
      if (const auto more = refusal_lines_.allow(clock_.steady())) {
        log::warning("message_refused", {{"adapter", place_.adapter},
                                         {"device", device.id.text()},
                                         {"reason", verdict.reason},
                                         {"suppressed", *more}});
      }
      return;
    case ArrivalGate::Verdict::Kind::stopped:
      // Paho acknowledges when we return, so by then there must be nothing to acknowledge on (D-01).
      cut_connections_to(place_.broker_port);
      return;
  }
}

}  // namespace trunkline::mqtt
