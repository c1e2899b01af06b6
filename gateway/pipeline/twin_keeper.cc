// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/twin_keeper.h"

#include <utility>

#include "gateway/base/log.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/mapping/twin_rules.h"
#include "gateway/pipeline/twin_state.h"

namespace trunkline {
namespace {

constexpr const char* kTooLarge = "what the device reported is larger than the 32 KiB of a twin";
constexpr std::size_t kMaxRefused = 1000;  // members that are remembered as too large
constexpr const char* kOwn = "gateway";    // the member of the reported properties that is ours

}  // namespace

TwinKeeper::TwinKeeper(Ports ports, Options options, const Clock& clock, Metrics& metrics, std::uint64_t first,
                       std::uint64_t seed)
    : ports_(std::move(ports)),
      options_(options),
      clock_(clock),
      now_(clock.steady()),
      wall_(clock.wall()),
      next_number_(first),
      seed_(seed),
      gets_(metrics.metric("twin_gets_total", "Twins fetched from the hub")),
      patches_(metrics.metric("twin_patches_total", "Patches of reported properties that the hub took")),
      refused_(metrics.metric("twin_refused_total", "Patches of reported properties that were refused")),
      reports_(metrics.metric("twin_reports_total", "Reports of devices")),
      unchanged_(metrics.metric("twin_unchanged_total", "Reports that said what the hub knew")),
      written_(metrics.metric("twin_writes_total", "Changes of desired properties given to devices, repeats included")),
      confirmed_(metrics.metric("twin_confirmed_total", "Changes of desired properties that devices confirmed")),
      failed_(metrics.metric("twin_writes_rejected_total", "Changes of desired properties that devices rejected")) {}

TwinKeeper::~TwinKeeper() = default;

void TwinKeeper::add(DeviceSlot slot, const DeviceId& device, bool writes) {
  if (twins_.size() <= slot.value) twins_.resize(slot.value + 1);
  twins_[slot.value] = std::make_unique<Twin>(slot, device, writes, seed_ + slot.value);
}

void TwinKeeper::restore(DeviceSlot slot, const TwinCopy& copy) {
  auto* twin = find(slot);
  auto value = read_json(copy.desired);
  if (twin == nullptr || !twin->writes || !value || !value->is_object()) return;
  twin->copy_bytes = copy.footprint();
  twin->desired = value->get_object();
  twin->version = copy.version;
  touch(*twin);
}

void TwinKeeper::save(Twin& twin) {
  // Only for those who would get it.
  if (!twin.writes || !twin.desired) return;
  TwinCopy copy{twin.device, twin.version, json_text(*twin.desired)};
  const auto bytes = copy.footprint();
  if (bytes > twin.copy_bytes && !ports_.reserve(bytes - twin.copy_bytes)) {
    log::warning("twin_not_saved", {{"device", twin.device.text()}, {"version", twin.version}, {"bytes", bytes}});
    return;
  }
  if (bytes < twin.copy_bytes) ports_.give_back(twin.copy_bytes - bytes);
  twin.copy_bytes = bytes;
  ports_.save(std::move(copy));
}

void TwinKeeper::touch(Twin& twin) {
  if (std::exchange(twin.touched, true)) return;
  touched_.push_back(twin.slot);
}

void TwinKeeper::wake_at(SteadyTime deadline, Twin& twin) {
  if (deadline >= twin.timer) return;
  if (twin.timer != kNever) timers_.erase({twin.timer, twin.slot.value});
  twin.timer = deadline;
  timers_.emplace(deadline, twin.slot.value);
}

void TwinKeeper::presence(DeviceSlot slot, Presence presence) {
  now_ = clock_.steady();
  auto* twin = find(slot);
  if (twin == nullptr || twin->presence == presence) return;
  twin->presence = presence;
  if (presence == Presence::reachable) {
    // It may have restarted meanwhile and forgotten everything.
    twin->confirmed.reset();
    twin->confirmed_version = 0;
    twin->hopeless = -1;
    twin->write_at = {};
    twin->write_retry.reset();
  }
  say_state(*twin);
  touch(*twin);
}

void TwinKeeper::say_state(Twin& twin) {
  if (!options_.report_state || !twin.presence) return;
  const bool connected = *twin.presence == Presence::reachable;
  json::object own{{"connected", connected}};
  const auto* before = twin.mine.if_contains(kOwn);
  const auto* said = before != nullptr ? before->if_object() : nullptr;
  const auto* was = said != nullptr ? said->if_contains("connected") : nullptr;
  if (was == nullptr || *was != json::value(connected)) own["since"] = to_rfc3339(wall_);
  if (const auto heard = ports_.heard(twin.slot); heard != SteadyTime{}) {
    own["lastHeard"] = to_rfc3339(wall_ - std::chrono::duration_cast<Milliseconds>(now_ - heard));
  }
  if (twin.writes && twin.desired) own["desiredVersion"] = twin.confirmed_version;
  combine_patches(twin.mine, {{kOwn, std::move(own)}});
  twin.reported = true;
  twin.say_heard_at = connected ? now_ + options_.heard_every : kNever;
}

void TwinKeeper::report(DeviceSlot slot, const std::string& text) {
  auto* twin = find(slot);
  const auto patch = read_properties(text);
  if (twin == nullptr || !patch) return;
  reports_.add();
  auto merged = twin->mine;
  combine_patches(merged, *patch);
  if (twin_bytes(merged) > kMaxTwinBytes) {
    refused_.add();
    // Said once, however often the device repeats it; shown until these members fit. Other reports may fit meanwhile.
    const bool fresh = twin->too_large.empty();
    for (const auto& [name, value] : *patch) {
      if (twin->too_large.size() < kMaxRefused) twin->too_large[name] = nullptr;
    }
    if (fresh) log::warning("twin_report_refused", {{"device", twin->device.text()}, {"error", kTooLarge}});
    return;
  }
  for (const auto& [name, value] : *patch) twin->too_large.erase(name);
  twin->mine = std::move(merged);
  if (twin->theirs && needed_part(*patch, *twin->theirs).empty()) unchanged_.add();
  twin->reported = true;
  touch(*twin);
}

void TwinKeeper::on_twin_link(DeviceSlot slot, bool attached) {
  auto* twin = find(slot);
  if (twin == nullptr) return;
  twin->attached = attached;
  twin->subscribed = false;
  twin->loaded = false;
  twin->request.reset();
  twin->ask_at = {};
  touch(*twin);
}

void TwinKeeper::advance(Twin& twin) {
  if (now_ >= twin.say_heard_at) say_state(twin);
  write(twin);
  talk(twin);
  if (twin.say_heard_at != kNever) wake_at(twin.say_heard_at, twin);
}

SteadyTime TwinKeeper::tick(SteadyTime now, WallTime wall) {
  now_ = now;
  wall_ = wall;
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    auto& twin = *twins_[timers_.begin()->second];
    timers_.erase(timers_.begin());
    twin.timer = kNever;
    touch(twin);
  }
  const auto touched = std::exchange(touched_, {});
  for (const auto slot : touched) {
    auto& twin = *find(slot);
    twin.touched = false;
    advance(twin);
  }
  return timers_.empty() ? kNever : timers_.begin()->first;
}

TwinKeeper::Status TwinKeeper::status(DeviceSlot slot) const {
  const auto* twin = find(slot);
  if (twin == nullptr) return {};
  return {true, twin->version, twin->confirmed_version, !twin->too_large.empty() ? kTooLarge : twin->fault};
}

}  // namespace trunkline
