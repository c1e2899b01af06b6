// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/shaping_ingress.h"

#include <mutex>
#include <optional>

#include "gateway/base/log.h"
#include "gateway/base/log_limit.h"
#include "gateway/mapping/shaper.h"

namespace trunkline {
namespace {

constexpr std::size_t kMaxWaiting = 1000;

}  // namespace

struct ShapingIngress::Device {
  Device(std::shared_ptr<const PayloadMap> map, const Captures& captures) : shaper(std::move(map), captures) {}

  std::mutex mutex;
  Shaper shaper;
  LogLimit log;
  std::vector<Completion<Admission>> waiting;  // for the open group
  // A group that intake throttled, with those who wait for it.
  std::optional<Telemetry> again;
  std::vector<Completion<Admission>> again_waiting;
  bool group_out = false;  // one is at intake; the next waits, so that they stay in order
};

ShapingIngress::ShapingIngress(Ingress& inner, const std::vector<DeviceMap>& devices, const Clock& clock,
                               Metrics& metrics)
    : inner_(inner),
      clock_(clock),
      shaped_(metrics.metric("shaped_total", "Messages that a payload map looked at")),
      grouped_(metrics.metric("shaped_grouped_total", "Messages that became part of a group")),
      refused_(metrics.metric("shaped_refused_total", "Messages that were not what their payload map expects")),
      metrics_(metrics) {
  for (const auto& device : devices) {
    if (!device.shape) continue;
    groups_ = groups_ || device.shape->group.count() > 0;
    devices_.emplace(device.id, std::make_unique<Device>(device.shape, device.captures));
  }
}

ShapingIngress::~ShapingIngress() = default;

void ShapingIngress::submit(Telemetry telemetry, Completion<Admission> done) {
  const auto found = devices_.find(telemetry.device);
  if (found == devices_.end()) {
    inner_.submit(std::move(telemetry), std::move(done));
    return;
  }
  auto& device = *found->second;
  shaped_.add();
  const bool sender_waits = telemetry.sender_waits;
  auto channel = telemetry.channel;
  Shaper::Verdict verdict;
  {
    const std::lock_guard lock(device.mutex);
    verdict = device.shaper.take(telemetry, clock_.steady());
    if (!verdict.state.empty()) say_state(telemetry.device, device, verdict.state);
    if (verdict.kind == Shaper::Verdict::Kind::held && !sender_waits) {
      if (device.waiting.size() < kMaxWaiting) {
        device.waiting.push_back(std::move(done));
        grouped_.add();
        return;
      }
      verdict = {Shaper::Verdict::Kind::refused, "too many values in one group", std::move(verdict.state)};
    }
  }
  switch (verdict.kind) {
    case Shaper::Verdict::Kind::forward:
      inner_.submit(std::move(telemetry), Completion<Admission>([&device, channel = std::move(channel),
                                                                 done = std::move(done)](Admission answer) mutable {
                      if (answer.kind != Admission::Kind::safe && answer.kind != Admission::Kind::duplicate) {
                        const std::lock_guard lock(device.mutex);
                        device.shaper.forget(channel);
                      }
                      done(std::move(answer));
                    }));
      return;
    case Shaper::Verdict::Kind::filtered:
      metrics_
          .metric("shaped_dropped_total", "Messages that a payload map does not want",
                  "reason=\"" + verdict.reason + "\"")
          .add();
      done(Admission::safe());
      return;
    case Shaper::Verdict::Kind::refused:
      refused_.add();
      done(Admission::refused(std::move(verdict.reason)));
      return;
    case Shaper::Verdict::Kind::held:
      grouped_.add();
      done(Admission::safe());
      return;
  }
}

// Under the device's lock, so that newer state is never overtaken by older.
void ShapingIngress::say_state(const DeviceId& id, Device& device, const std::string& state) {
  const auto taken = inner_.report(id, state);
  if (taken) return;
  if (const auto suppressed = device.log.allow(clock_.steady())) {
    log::warning(
        "report_refused",
        {{"adapter", "map"}, {"device", id.text()}, {"reason", taken.error().message}, {"suppressed", *suppressed}});
  }
}

void ShapingIngress::tick(bool all) {
  const auto now = clock_.steady();
  for (auto& [id, device] : devices_) {
    std::optional<Telemetry> group;
    std::vector<Completion<Admission>> waiting;
    {
      const std::lock_guard lock(device->mutex);
      if (device->group_out) continue;
      if (device->again) {
        group = std::exchange(device->again, std::nullopt);
        waiting = std::exchange(device->again_waiting, {});
      } else if (all || device->shaper.deadline() <= now) {
        group = device->shaper.due(all ? std::max(now, device->shaper.deadline()) : now);
        waiting = std::exchange(device->waiting, {});
      }
      device->group_out = group.has_value();
    }
    if (group) {
      send_group(*device, std::move(*group), std::move(waiting));
    } else {
      // The group said nothing new.
      for (auto& done : waiting) done(Admission::safe());
    }
  }
}

void ShapingIngress::send_group(Device& device, Telemetry telemetry, std::vector<Completion<Admission>> waiting) {
  auto kept = telemetry;
  inner_.submit(std::move(telemetry), Completion<Admission>([&device, kept = std::move(kept),
                                                             waiting = std::move(waiting)](Admission answer) mutable {
                  {
                    const std::lock_guard lock(device.mutex);
                    device.group_out = false;
                    if (answer.kind == Admission::Kind::throttled) {
                      device.again = std::move(kept);
                      device.again_waiting = std::move(waiting);
                      return;
                    }
                    if (answer.kind != Admission::Kind::safe) device.shaper.forget({});
                  }
                  for (auto& done : waiting) done(answer);
                }));
}

}  // namespace trunkline
