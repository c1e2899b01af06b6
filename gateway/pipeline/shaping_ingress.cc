// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/shaping_ingress.h"

#include <algorithm>
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
  Device(std::shared_ptr<const PayloadMap> map, const Captures& captures)
      : groups(map->group.count() > 0), shaper(std::move(map), captures) {}

  const bool groups;
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
  devices_ = std::make_shared<const Devices>();
  change({{}, devices});
}

void ShapingIngress::change(const DeviceChanges& changes) {
  auto next = std::make_shared<Devices>(*devices_.load());
  const auto leave = [&](const DeviceId& id) {
    const auto found = next->find(id);
    if (found == next->end()) return;
    leaving_.push_back(std::move(found->second));
    next->erase(found);
  };
  for (const auto& id : changes.removed) leave(id);
  for (const auto& map : changes.added) {
    leave(map.id);
    if (map.shape) next->emplace(map.id, std::make_shared<Device>(map.shape, map.captures));
  }
  groups_ = std::any_of(next->begin(), next->end(), [](const auto& one) { return one.second->groups; });
  devices_.store(std::move(next));
}

ShapingIngress::~ShapingIngress() = default;

void ShapingIngress::submit(Telemetry telemetry, Completion<Admission> done) {
  const auto devices = devices_.load();
  const auto found = devices->find(telemetry.device);
  if (found == devices->end()) {
    inner_.submit(std::move(telemetry), std::move(done));
    return;
  }
  const auto& kept = found->second;
  auto& device = *kept;
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
      inner_.submit(std::move(telemetry), Completion<Admission>([kept, channel = std::move(channel),
                                                                 done = std::move(done)](Admission answer) mutable {
                      if (answer.kind != Admission::Kind::safe && answer.kind != Admission::Kind::duplicate) {
                        const std::lock_guard lock(kept->mutex);
                        kept->shaper.forget(channel);
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
  const auto devices = devices_.load();
  for (const auto& [id, device] : *devices) tick(device, now, all);
  std::erase_if(leaving_, [&](const DevicePtr& device) { return !tick(device, now, true); });
}

bool ShapingIngress::tick(const DevicePtr& kept, SteadyTime now, bool all) {
  auto& device = *kept;
  std::optional<Telemetry> group;
  std::vector<Completion<Admission>> waiting;
  {
    const std::lock_guard lock(device.mutex);
    if (device.group_out) return true;
    if (device.again) {
      group = std::exchange(device.again, std::nullopt);
      waiting = std::exchange(device.again_waiting, {});
    } else if (all || device.shaper.deadline() <= now) {
      group = device.shaper.due(all ? std::max(now, device.shaper.deadline()) : now);
      waiting = std::exchange(device.waiting, {});
    }
    device.group_out = group.has_value();
  }
  if (group) {
    send_group(kept, std::move(*group), std::move(waiting));
    return true;
  }
  // The group said nothing new.
  for (auto& done : waiting) done(Admission::safe());
  return false;
}

void ShapingIngress::send_group(const DevicePtr& device, Telemetry telemetry,
                                std::vector<Completion<Admission>> waiting) {
  // One is out at a time and offered again by us, so it must not wait for a member that nobody offers again.
  telemetry.offer = Telemetry::Offer::alone;
  auto kept = telemetry;
  inner_.submit(std::move(telemetry), Completion<Admission>([device, kept = std::move(kept),
                                                             waiting = std::move(waiting)](Admission answer) mutable {
                  {
                    const std::lock_guard lock(device->mutex);
                    device->group_out = false;
                    if (answer.kind == Admission::Kind::throttled) {
                      device->again = std::move(kept);
                      device->again_waiting = std::move(waiting);
                      return;
                    }
                    if (answer.kind != Admission::Kind::safe) device->shaper.forget({});
                  }
                  for (auto& done : waiting) done(answer);
                }));
}

}  // namespace trunkline
