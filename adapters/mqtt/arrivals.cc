// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/arrivals.h"

#include "adapters/mqtt/cut.h"
#include "gateway/base/encoding.h"
#include "gateway/base/log.h"
#include "gateway/mapping/json_text.h"

namespace trunkline::mqtt {

namespace {

constexpr std::chrono::seconds kLinePeriod{10};
constexpr std::size_t kMaxReplies = 10'000;

Telemetry to_telemetry(const DeviceMap& device, const TopicMeaning& meaning, const Arrival& arrival) {
  Telemetry out{device.id,
                arrival.payload,
                device.content_type.empty() ? arrival.content_type : device.content_type,
                device.content_encoding,
                arrival.properties,
                {},
                Source::mqtt,
                true};  // the arrival callback is held until the answer
  if (device.shape) {
    out.channel = arrival.topic;
    out.captures = meaning.captures;
  }
  if (arrival.retained && device.mqtt->retained == Retained::state) out.properties.push_back({"retained", "true"});
  return out;
}

// What a presence topic says: the word itself, or the member "state" of a JSON object.
std::optional<bool> said(const MqttPresence& map, const std::string& payload) {
  auto word = payload;
  if (payload.starts_with('{')) {
    const auto value = read_json(payload);
    const auto* state = value && value->is_object() ? value->get_object().if_contains("state") : nullptr;
    if (state != nullptr && state->is_string()) word = std::string(state->get_string());
  }
  if (word == map.online) return true;
  if (word == map.offline) return false;
  return std::nullopt;
}

}  // namespace

Arrivals::Arrivals(Place place, const Rosters& rosters, const Clock& clock, Metrics& metrics, EventQueue& events,
                   UnknownTopics& unknown, ArrivalGate& gate, Ingress& ingress)
    : place_(std::move(place)),
      rosters_(rosters),
      clock_(clock),
      events_(events),
      unknown_(unknown),
      gate_(gate),
      ingress_(ingress),
      messages_(metrics.metric("mqtt_messages_total", "Messages that brokers brought from mapped devices")),
      refused_(metrics.metric("mqtt_refused_total", "Messages that intake refused and the broker was acknowledged")),
      unmapped_(metrics.metric("mqtt_unmapped_total", "Messages on a topic that belongs to no device")),
      damaged_(metrics.metric("mqtt_damaged_total", "Messages with a topic or property that is no UTF-8")),
      retained_dropped_(metrics.metric("mqtt_retained_dropped_total", "Retained messages that the map does not want")),
      replies_dropped_(metrics.metric("mqtt_replies_dropped_total", "Command replies dropped because too many waited")),
      reports_refused_(metrics.metric("mqtt_reports_refused_total", "Reports of a device's state that no twin takes")),
      unmapped_lines_(kLinePeriod),
      damaged_lines_(kLinePeriod) {}

void Arrivals::take(const Arrival& arrival) noexcept {
  if (arrival.damaged && !pass_damaged(arrival)) return;
  auto held = rosters_.now.load();
  auto meaning = held->topics.find(arrival.topic, arrival.payload);
  if (!meaning) {
    if (auto before = rosters_.before.load()) {
      meaning = before->topics.find(arrival.topic, arrival.payload);
      held = std::move(before);
    }
  }
  if (!meaning) {
    take_unknown(arrival);
    return;
  }
  const auto& roster = *held;
  switch (meaning->role) {
    case TopicRole::ignored:
      return;
    case TopicRole::presence:
    case TopicRole::bridge:
      take_presence(roster, *meaning, arrival);
      return;
    case TopicRole::telemetry:
      // A retained message was said long ago and tells nothing about now.
      if (!arrival.retained) note_heard(roster, meaning->device);
      take_telemetry(roster, *meaning, arrival);
      return;
    case TopicRole::reply:
    case TopicRole::method_reply:
      take_reply(roster, *meaning, arrival);
      return;
    case TopicRole::reported:
      take_report(roster, *meaning, arrival);
      return;
  }
}

void Arrivals::take_reply(const Roster& roster, const TopicMeaning& meaning, const Arrival& arrival) {
  if (arrival.retained) return;
  note_heard(roster, meaning.device);
  const auto to = meaning.role == TopicRole::method_reply ? CommandKind::method : CommandKind::message;
  ReplyCame reply{meaning.device, {arrival.correlation, arrival.payload, to}};
  if (!events_.push_bounded(std::move(reply), kMaxReplies)) replies_dropped_.add();
}

// A retained state counts for the twin, but it was said before whatever was asked since.
void Arrivals::take_report(const Roster& roster, const TopicMeaning& meaning, const Arrival& arrival) {
  const auto& device = roster.devices[meaning.device];
  if (!arrival.retained) note_heard(roster, meaning.device);
  if (const auto taken = ingress_.report(device.id, arrival.payload); !taken) {
    reports_refused_.add();
    if (const auto more = roster.notes[meaning.device]->refusal_lines.allow(clock_.steady())) {
      log::warning("report_refused", {{"adapter", place_.adapter},
                                      {"device", device.id.text()},
                                      {"reason", taken.error().message},
                                      {"suppressed", *more}});
    }
    return;
  }
  if (arrival.retained || !device.mqtt->desired) return;
  if (!events_.push_bounded(ReportCame{meaning.device, arrival.payload}, kMaxReplies)) replies_dropped_.add();
}

// A damaged topic is nobody's; a damaged property is left behind, and the message goes on without it.
bool Arrivals::pass_damaged(const Arrival& arrival) {
  damaged_.add();
  const bool topic_good = is_utf8(arrival.topic);
  if (!topic_good) unknown_.note(arrival.topic);
  if (const auto more = damaged_lines_.allow(clock_.steady())) {
    log::warning("message_damaged", {{"adapter", place_.adapter},
                                     {"topic", UnknownTopics::shown(arrival.topic)},
                                     {"reason", topic_good ? "a property is no UTF-8" : "the topic is no UTF-8"},
                                     {"suppressed", *more}});
  }
  return topic_good;
}

void Arrivals::take_unknown(const Arrival& arrival) {
  unmapped_.add();
  unknown_.note(arrival.topic);
  if (const auto more = unmapped_lines_.allow(clock_.steady())) {
    log::warning("message_unmapped", {{"adapter", place_.adapter}, {"topic", arrival.topic}, {"suppressed", *more}});
  }
}

void Arrivals::take_presence(const Roster& roster, TopicMeaning& meaning, const Arrival& arrival) {
  const auto& map = *roster.devices[meaning.device].mqtt;
  const bool bridge = meaning.role == TopicRole::bridge;
  PresenceSaid event{bridge ? std::move(meaning.behind) : std::vector<std::size_t>{meaning.device}, bridge,
                     said(bridge ? *map.bridge : *map.presence, arrival.payload)};
  if (!events_.push_bounded(std::move(event), kMaxReplies)) replies_dropped_.add();
}

void Arrivals::note_heard(const Roster& roster, std::size_t device) {
  auto& note = *roster.notes[device];
  note.heard.store(clock_.steady().time_since_epoch().count(), std::memory_order_relaxed);
  note.heard_at.store(clock_.wall().time_since_epoch().count(), std::memory_order_relaxed);
  if (note.reachable.load(std::memory_order_relaxed)) return;
  if (!note.sign_of_life_sent.exchange(true)) events_.push(HeardAgain{device});
}

void Arrivals::take_telemetry(const Roster& roster, TopicMeaning& meaning, const Arrival& arrival) {
  const auto& device = roster.devices[meaning.device];
  messages_.add();
  if (arrival.retained && device.mqtt->retained == Retained::drop) {
    retained_dropped_.add();
    return;
  }
  const auto verdict = gate_.pass(ingress_, [&] { return to_telemetry(device, meaning, arrival); });
  switch (verdict.kind) {
    case ArrivalGate::Verdict::Kind::safe:
      return;
    case ArrivalGate::Verdict::Kind::refused:
      refused_.add();
      if (const auto more = roster.notes[meaning.device]->refusal_lines.allow(clock_.steady())) {
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
