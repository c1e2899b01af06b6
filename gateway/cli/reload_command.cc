// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "config/settings.h"
#include "gateway/base/json.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/control_client.h"

namespace trunkline::cli {
namespace {

// The gateway reads thousands of maps, waits for its brokers, and watches what it did for some seconds.
constexpr Milliseconds kPatience{90'000};

std::string text(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::array& array(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

std::string or_unset(const std::string& value) {
  return value.empty() ? "(not set)" : value;
}

std::string difference(const json::object& option) {
  return text(option, "name") + ": " + or_unset(text(option, "before")) + " -> " + or_unset(text(option, "after"));
}

// What differs, a line each: what an engineer compares with what was meant.
std::size_t show(const json::object& change, std::ostream& out) {
  std::size_t lines = 0;
  const auto line = [&](const std::string& what) {
    out << what << '\n';
    ++lines;
  };
  for (const auto& id : array(change, "added")) line("+ " + std::string(id.as_string()));
  for (const auto& id : array(change, "removed")) line("- " + std::string(id.as_string()));
  for (const auto& device : array(change, "changed")) {
    for (const auto& option : array(device.as_object(), "options")) {
      line("~ " + text(device.as_object(), "id") + "  " + difference(option.as_object()));
    }
  }
  for (const auto& table : array(change, "tables")) line("+ [" + std::string(table.as_string()) + "]");
  for (const auto& option : array(change, "options")) {
    const bool restart = text(option.as_object(), "needs") == "restart";
    line("~ " + difference(option.as_object()) + (restart ? "  (needs a restart, stays as it is until then)" : ""));
  }
  return lines;
}

// Who asked and was not answered wants to know which files count.
std::string_view what_now(ErrorCode code) {
  if (code == ErrorCode::unavailable) return "; if it was ended, it starts by the files as they are now";
  if (code == ErrorCode::timed_out) return "; it goes on: its log says reload_done or reload_rolled_back";
  return {};
}

int refused(const json::object& answer, const Streams& streams) {
  for (const auto& problem : array(answer, "problems")) streams.err << std::string(problem.as_string()) << '\n';
  streams.err << "trunkline: not reloaded: " << text(answer, "error") << '\n';
  const auto* back = answer.if_contains("rolled_back");
  return back != nullptr && *back == json::value(true) ? kFailed : kUsage;
}

}  // namespace

int reload(const Place& place, bool dry_run, bool as_json, const Streams& streams) {
  const auto loaded = config::load(place.config);
  if (!loaded.paths_usable) {
    for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
    return kUsage;
  }
  if (loaded.settings.status.control.empty()) {
    streams.err << "trunkline: the configuration has no status.control; send SIGHUP instead\n";
    return kUsage;
  }
  const json::object request{{"op", "reload"}, {"dry_run", dry_run}};
  const auto answered = ask_gateway(loaded.settings.status.control, json::serialize(request), kPatience);
  if (!answered) {
    streams.err << "trunkline: " << answered.error().message << what_now(answered.error().code) << '\n';
    return answered.error().code == ErrorCode::not_found ? kNotRunning : kFailed;
  }
  boost::system::error_code bad;
  const auto value = json::parse(*answered, bad);
  const auto* answer = bad ? nullptr : value.if_object();
  const auto* ok = answer == nullptr ? nullptr : answer->if_contains("ok");
  if (ok == nullptr || !ok->is_bool()) {
    streams.err << "trunkline: the gateway gave an answer that makes no sense\n";
    return kFailed;
  }
  if (as_json) {
    streams.out << *answered << '\n';
    const auto* back = answer->if_contains("rolled_back");
    return ok->as_bool() ? kDone : back != nullptr && *back == json::value(true) ? kFailed : kUsage;
  }
  if (!ok->as_bool()) return refused(*answer, streams);
  for (const auto& warning : array(*answer, "warnings"))
    streams.err << "warning: " << std::string(warning.as_string()) << '\n';
  const auto* change = answer->if_contains("change");
  const auto lines = change != nullptr && change->is_object() ? show(change->get_object(), streams.out) : 0;
  for (const auto& device : array(*answer, "trouble")) {
    streams.err << "warning: " << text(device.as_object(), "id")
                << " is not served: " << text(device.as_object(), "fault") << '\n';
  }
  if (lines == 0) {
    streams.out << "nothing differs\n";
  } else {
    streams.out << (dry_run ? "this would change; nothing was changed\n" : "reloaded\n");
  }
  return kDone;
}

}  // namespace trunkline::cli
