// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/method_router.h"

#include <algorithm>
#include <utility>

#include "gateway/base/log.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/method_answer.h"

namespace trunkline {
namespace {

constexpr auto kTooLate = "the device did not answer in time";

Metric& outcome_metric(Metrics& metrics, std::string_view outcome) {
  return metrics.metric("method_responses_total", "Method calls by what became of them",
                        "outcome=\"" + std::string(outcome) + "\"");
}

}  // namespace

MethodRouter::MethodRouter(Ports ports, const Clock& clock, Metrics& metrics, std::uint64_t first)
    : ports_(std::move(ports)),
      clock_(clock),
      next_number_(first),
      calls_(metrics.metric("method_calls_total", "Method calls from the hub")),
      answered_(outcome_metric(metrics, "answered")),
      offline_(outcome_metric(metrics, "offline")),
      busy_(outcome_metric(metrics, "busy")),
      timeouts_(outcome_metric(metrics, "timeout")),
      failed_(outcome_metric(metrics, "failed")),
      lost_(outcome_metric(metrics, "caller_lost")) {}

void MethodRouter::add(DeviceSlot slot, const DeviceId& device, Milliseconds timeout) {
  if (lines_.size() <= slot.value) lines_.resize(slot.value + 1);
  lines_[slot.value].device = device;
  lines_[slot.value].timeout = timeout;
}

void MethodRouter::on_method(DeviceSlot slot, MethodCall call, MethodTag tag) {
  calls_.add();
  if (lines_.size() <= slot.value) lines_.resize(slot.value + 1);
  auto& line = lines_[slot.value];
  Call made{std::move(call), tag, next_number_, clock_.steady() + line.timeout};
  const auto refuse = [&](int status, std::string_view why, Metric& as) {
    answer(line, made, own_answer(status, why), as);
  };
  if (!line.device) return refuse(MethodResponse::kNotMapped, "no method is mapped for this device", failed_);
  if (made.call.payload.size() > MethodResponse::kMaxPayload) {
    return refuse(MethodResponse::kBadRequest, "the payload is larger than 128 KiB", failed_);
  }
  if (made.call.payload.empty()) made.call.payload = "null";
  if (!read_json(made.call.payload)) return refuse(MethodResponse::kBadRequest, "the payload is not JSON", failed_);
  if (!ports_.reachable(slot)) return refuse(MethodResponse::kOffline, "the device is away", offline_);
  if (line.waiting.size() >= kWaiting) {
    return refuse(MethodResponse::kBusy, "too many calls wait for this device", busy_);
  }
  ++next_number_;
  due_.emplace(std::pair(made.deadline, made.number), slot);
  line.waiting.push_back(std::move(made));
  start_next(slot);
}

void MethodRouter::start_next(DeviceSlot slot) {
  auto& line = lines_[slot.value];
  if (line.active || line.waiting.empty()) return;
  line.active = std::move(line.waiting.front());
  line.waiting.pop_front();
  const auto& call = *line.active;
  Command command{.device = *line.device, .sequence = call.number};
  command.kind = CommandKind::method;
  command.name = call.call.name;
  command.body = call.call.payload;
  command.content_type = "application/json";
  command.deadline = call.deadline;
  log::debug("method_called", {{"device", line.device->text()}, {"msg", call.number}, {"name", call.call.name}});
  ports_.deliver(
      slot, std::move(command), Completion<Outcome>([this, slot, number = call.number](Outcome outcome) {
        ports_.post([this, slot, number, outcome = std::move(outcome)] { on_outcome(slot, number, outcome); });
      }));
}

void MethodRouter::on_outcome(DeviceSlot slot, std::uint64_t number, const Outcome& outcome) {
  auto& line = lines_[slot.value];
  if (!line.active || line.active->number != number) return;  // it was answered for
  const auto call = std::move(*line.active);
  line.active.reset();
  due_.erase({call.deadline, call.number});
  if (outcome.kind == Outcome::Kind::accepted) {
    answer(line, call, outcome.response ? *outcome.response : MethodResponse{}, answered_);
  } else if (outcome.kind == Outcome::Kind::rejected) {
    const bool unmapped = outcome.condition == "amqp:not-implemented";
    answer(line, call,
           own_answer(unmapped ? MethodResponse::kNotMapped : MethodResponse::kBadRequest, outcome.description),
           failed_);
  } else if (outcome.condition == Outcome::kAway) {
    answer(line, call, own_answer(MethodResponse::kOffline, outcome.description), offline_);
  } else if (outcome.condition == Outcome::kBusy) {
    answer(line, call, own_answer(MethodResponse::kBusy, outcome.description), busy_);
  } else if (clock_.steady() >= call.deadline) {
    answer(line, call, own_answer(MethodResponse::kTimeout, kTooLate), timeouts_);
  } else {
    answer(line, call, own_answer(MethodResponse::kFailed, outcome.description), failed_);
  }
  start_next(slot);
}

void MethodRouter::answer(const Line& line, const Call& call, const MethodResponse& response, Metric& as) {
  as.add();
  log::info("method_answered", {{"device", line.device ? line.device->text() : std::string()},
                                {"msg", call.number},
                                {"name", call.call.name},
                                {"status", response.status}});
  if (call.caller_lost) {
    lost_.add();
  } else {
    ports_.respond(call.tag, response);
  }
}

void MethodRouter::on_callers_lost(ConnectionSlot connection) {
  for (auto& line : lines_) {
    if (line.active && line.active->tag.connection == connection) line.active->caller_lost = true;
    // At most once: what its caller believes to have failed is not begun any more.
    const auto lost = std::remove_if(line.waiting.begin(), line.waiting.end(), [&](const Call& call) {
      if (call.tag.connection != connection) return false;
      lost_.add();
      due_.erase({call.deadline, call.number});
      return true;
    });
    line.waiting.erase(lost, line.waiting.end());
  }
}

void MethodRouter::expire(Line& line, SteadyTime now) {
  if (line.active && line.active->deadline <= now) {
    answer(line, *line.active, own_answer(MethodResponse::kTimeout, kTooLate), timeouts_);
    line.active.reset();
  }
  while (!line.waiting.empty() && line.waiting.front().deadline <= now) {
    answer(line, line.waiting.front(),
           own_answer(MethodResponse::kTimeout, "the device was busy with earlier calls until it was too late"),
           timeouts_);
    line.waiting.pop_front();
  }
}

SteadyTime MethodRouter::tick(SteadyTime now) {
  while (!due_.empty() && due_.begin()->first.first <= now) {
    const auto slot = due_.begin()->second;
    due_.erase(due_.begin());
    expire(lines_[slot.value], now);
    start_next(slot);
  }
  return due_.empty() ? kNever : due_.begin()->first.first;
}

}  // namespace trunkline
