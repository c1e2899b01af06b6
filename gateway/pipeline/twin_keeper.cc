// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/twin_keeper.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/base/backoff.h"
#include "gateway/base/log.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/mapping/twin_rules.h"

namespace trunkline {
namespace {

constexpr Backoff::Limits kRetry{Milliseconds(1'000), Milliseconds(2'000), Milliseconds(60'000)};
constexpr const char* kVersion = "$version";
constexpr const char* kMetadata = "$metadata";
constexpr const char* kOwn = "gateway";  // the member of the reported properties that is ours

// Takes the version out of a document; what begins with "$" is the hub's own.
std::int64_t take_version(json::object& document) {
  std::int64_t version = 0;
  if (const auto* said = document.if_contains(kVersion); said != nullptr && said->is_int64()) {
    version = said->get_int64();
  }
  document.erase(kVersion);
  document.erase(kMetadata);
  return version;
}

}  // namespace

struct TwinKeeper::Twin {
  Twin(DeviceSlot own, DeviceId name, bool is_written, std::uint64_t seed)
      : slot(own), device(std::move(name)), writes(is_written), retry(kRetry, seed), write_retry(kRetry, ~seed) {}

  DeviceSlot slot;
  DeviceId device;
  bool writes;
  bool touched = false;
  SteadyTime timer = kNever;

  // Towards the hub.
  bool attached = false;
  bool subscribed = false;
  bool loaded = false;  // both documents were fetched since the links came up
  std::optional<TwinRequest> request;
  json::object patch;  // of a report that is under way
  SteadyTime request_due{};
  SteadyTime ask_at{};
  Backoff retry;
  json::object mine;                   // everything the device reported, as one patch
  std::optional<json::object> theirs;  // the reported properties as the hub has them
  bool reported = false;               // something in `mine` may be news to the hub
  SteadyTime report_at{};

  // Towards the device.
  std::optional<json::object> desired;
  std::int64_t version = 0;
  std::optional<json::object> confirmed;  // nothing: nobody knows what the device has
  std::int64_t confirmed_version = 0;
  std::int64_t hopeless = -1;  // the version that the device rejected
  std::uint64_t writing = 0;   // number of the write that is under way
  json::object target;
  std::int64_t target_version = 0;
  SteadyTime write_at{};
  Backoff write_retry;

  std::optional<Presence> presence;
  SteadyTime say_heard_at = kNever;
  std::string fault;
};

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
    constexpr auto kTooLarge = "what the device reported is larger than the 32 KiB of a twin";
    // Said once, however often the device repeats it.
    if (twin->fault != kTooLarge) {
      log::warning("twin_report_refused", {{"device", twin->device.text()}, {"error", kTooLarge}});
    }
    twin->fault = kTooLarge;
    return;
  }
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

void TwinKeeper::on_desired(DeviceSlot slot, std::string text) {
  auto* twin = find(slot);
  if (twin == nullptr) return;
  auto value = read_json(text);
  if (!value || !value->is_object()) {
    log::warning("twin_desired_unreadable", {{"device", twin->device.text()}});
    twin->loaded = false;
    return touch(*twin);
  }
  auto& patch = value->get_object();
  const auto version = take_version(patch);
  if (!twin->loaded || version <= twin->version) return;  // the document that comes, or came, says it
  if (version != twin->version + 1 || !twin->desired) {
    twin->loaded = false;  // one was missed
    return touch(*twin);
  }
  apply_patch(*twin->desired, patch);
  twin->version = version;
  twin->write_at = {};
  twin->write_retry.reset();
  touch(*twin);
}

void TwinKeeper::on_twin_answer(DeviceSlot slot, TwinAnswer answer) {
  now_ = clock_.steady();
  auto* twin = find(slot);
  if (twin == nullptr || !twin->request || twin->request->number != answer.number) return;
  const auto kind = twin->request->kind;
  const bool good = answer.status >= 200 && answer.status < 300;
  twin->request.reset();
  if (kind == TwinRequest::Kind::report) {
    report_answered(*twin, answer);
  } else if (!good) {
    twin->fault = "the hub answered " + std::to_string(answer.status);
    log::warning("twin_refused", {{"device", twin->device.text()}, {"status", answer.status}});
    twin->ask_at = now_ + twin->retry.next();
  } else if (kind == TwinRequest::Kind::subscribe) {
    twin->subscribed = true;
  } else {
    take_document(*twin, answer.document);
  }
  touch(*twin);
}

void TwinKeeper::take_document(Twin& twin, const std::string& text) {
  auto value = read_json(text);
  auto* document = value ? value->if_object() : nullptr;
  auto* desired = document != nullptr ? document->if_contains("desired") : nullptr;
  auto* reported = document != nullptr ? document->if_contains("reported") : nullptr;
  if (desired == nullptr || !desired->is_object() || reported == nullptr || !reported->is_object()) {
    twin.fault = "the hub's document cannot be read";
    log::warning("twin_unreadable", {{"device", twin.device.text()}});
    twin.ask_at = now_ + twin.retry.next();
    return;
  }
  gets_.add();
  twin.retry.reset();
  twin.loaded = true;
  const auto version = take_version(desired->get_object());
  (void)take_version(reported->get_object());
  if (version < twin.version) twin.hopeless = -1;  // a twin that was made anew counts from the beginning
  if (!twin.desired || version != twin.version || *twin.desired != desired->get_object()) {
    twin.write_at = {};
    twin.write_retry.reset();
  }
  twin.version = version;
  twin.desired = desired->get_object();
  twin.theirs = reported->get_object();
  twin.reported = !twin.mine.empty();
}

void TwinKeeper::report_answered(Twin& twin, const TwinAnswer& answer) {
  const auto patch = std::exchange(twin.patch, {});
  if (answer.status >= 200 && answer.status < 300) {
    patches_.add();
    twin.retry.reset();
    twin.fault.clear();
    if (twin.theirs) apply_patch(*twin.theirs, patch);
    // What was deleted and is gone need not be said again.
    return;
  }
  twin.reported = true;
  twin.fault = "the hub answered a report with " + std::to_string(answer.status);
  log::warning("twin_report_failed", {{"device", twin.device.text()}, {"status", answer.status}});
  if (answer.status == 412) {
    twin.loaded = false;  // somebody else wrote; look again
  } else if (answer.status >= 400 && answer.status < 500 && answer.status != 408 && answer.status != 429) {
    // It would refuse the same again; the next report begins anew.
    refused_.add();
    twin.mine.clear();
    twin.reported = false;
  }
  twin.ask_at = now_ + twin.retry.next();
}

void TwinKeeper::ask(Twin& twin, TwinRequest request) {
  request.number = next_request_++;
  if (!ports_.ask(twin.slot, request)) {
    twin.ask_at = now_ + twin.retry.next();
    return;
  }
  request.patch.clear();
  twin.request = std::move(request);
  twin.request_due = now_ + options_.answer_limit;
}

// One request at a time.
void TwinKeeper::talk(Twin& twin) {
  if (!twin.attached) return;
  if (twin.request && now_ >= twin.request_due) {
    log::warning("twin_unanswered", {{"device", twin.device.text()}});
    twin.fault = "the hub does not answer for the twin";
    if (twin.request->kind == TwinRequest::Kind::report) {
      twin.reported = true;
      twin.loaded = false;  // it may have been taken
    }
    twin.request.reset();
    twin.ask_at = now_ + twin.retry.next();
  }
  if (twin.request) return wake_at(twin.request_due, twin);
  if (now_ < twin.ask_at) return wake_at(twin.ask_at, twin);
  if (!twin.subscribed) {
    ask(twin, {TwinRequest::Kind::subscribe, 0, {}});
  } else if (!twin.loaded) {
    ask(twin, {TwinRequest::Kind::get, 0, {}});
  } else if (twin.reported) {
    if (now_ < twin.report_at) return wake_at(twin.report_at, twin);
    twin.reported = false;
    auto news = needed_part(twin.mine, *twin.theirs);
    if (news.empty()) return;
    ask(twin, {TwinRequest::Kind::report, 0, json_text(news)});
    twin.reported = !twin.request.has_value();
    twin.patch = std::move(news);
    twin.report_at = now_ + options_.report_every;
  }
  if (twin.request) {
    wake_at(twin.request_due, twin);
  } else if (now_ < twin.ask_at) {
    wake_at(twin.ask_at, twin);
  }
}

void TwinKeeper::write(Twin& twin) {
  if (!twin.writes || !twin.desired || twin.writing != 0 || twin.hopeless == twin.version) return;
  if (!ports_.reachable(twin.slot)) return;
  const auto patch = twin.confirmed ? difference(*twin.confirmed, *twin.desired) : *twin.desired;
  if (patch.empty()) {
    if (twin.confirmed && twin.confirmed_version == twin.version) return;
    twin.confirmed = twin.desired;
    twin.confirmed_version = twin.version;
    return say_state(twin);
  }
  if (now_ < twin.write_at) return wake_at(twin.write_at, twin);
  twin.writing = next_number_++;
  twin.target = *twin.desired;
  twin.target_version = twin.version;
  Command command{.device = twin.device, .sequence = twin.writing};
  command.kind = CommandKind::desired;
  command.version = twin.version;
  command.body = json_text(patch);
  command.content_type = "application/json";
  command.deadline = now_ + options_.write_limit;
  written_.add();
  ports_.deliver(
      twin.slot, std::move(command),
      Completion<Outcome>([this, slot = twin.slot, number = twin.writing](Outcome outcome) {
        ports_.post([this, slot, number, outcome = std::move(outcome)] { on_written(slot, number, outcome); });
      }));
}

void TwinKeeper::on_written(DeviceSlot slot, std::uint64_t number, const Outcome& outcome) {
  now_ = clock_.steady();
  auto* twin = find(slot);
  if (twin == nullptr || twin->writing != number) return;
  twin->writing = 0;
  switch (outcome.kind) {
    case Outcome::Kind::accepted:
      confirmed_.add();
      twin->write_retry.reset();
      twin->fault.clear();
      twin->confirmed = std::move(twin->target);
      twin->confirmed_version = twin->target_version;
      log::info("desired_confirmed", {{"device", twin->device.text()}, {"version", twin->confirmed_version}});
      say_state(*twin);
      break;
    case Outcome::Kind::rejected:
      failed_.add();
      twin->hopeless = twin->target_version;
      twin->fault = "the device rejected its desired properties: " + outcome.description;
      log::warning("desired_rejected", {{"device", twin->device.text()},
                                        {"version", twin->target_version},
                                        {"error", outcome.condition},
                                        {"text", outcome.description}});
      break;
    default:
      twin->write_at = now_ + twin->write_retry.next();
      twin->fault = "the device did not confirm its desired properties: " + outcome.description;
      break;
  }
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
  return twin == nullptr ? Status{} : Status{true, twin->version, twin->confirmed_version, twin->fault};
}

}  // namespace trunkline
