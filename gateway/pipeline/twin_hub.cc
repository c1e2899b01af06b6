// SPDX-License-Identifier: Apache-2.0
// The part of the twin keeper that talks to the hub: one request at a time, documents and patches in.
#include <optional>
#include <utility>

#include "gateway/base/log.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/pipeline/twin_state.h"

namespace trunkline {
namespace {

constexpr const char* kVersion = "$version";
constexpr const char* kMetadata = "$metadata";

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
  save(*twin);
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
  const bool news = !twin.desired || version != twin.version || *twin.desired != desired->get_object();
  if (news) {
    twin.write_at = {};
    twin.write_retry.reset();
  }
  twin.version = version;
  twin.desired = desired->get_object();
  twin.theirs = reported->get_object();
  if (news) save(twin);
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

}  // namespace trunkline
