// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/reloader.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>
#include <utility>

#include "gateway/mapping/family.h"
#include "gateway/ops/service_manager.h"

namespace trunkline::app {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kProbation{3};
constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::seconds kRecovery{10};
constexpr std::size_t kMostWaiting = 8;
constexpr std::size_t kMostNamed = 5;

json::array texts(const std::vector<config::Problem>& problems) {
  json::array out;
  for (const auto& problem : problems) out.emplace_back(problem.text());
  return out;
}

json::object refusal(const std::string& error) {
  return {{"ok", false}, {"error", error}, {"problems", json::array()}, {"rolled_back", false}};
}

// A text of the map that the reason speaks of: its device, its address, its topic.
bool speaks_of(const std::string& reason, const DeviceMap& map) {
  const auto says = [&reason](std::string_view text) { return text.size() > 2 && reason.find(text) != reason.npos; };
  if (says(map.id.text())) return true;
  const auto quoted = [](std::string_view value) { return value.size() > 2 && value.front() == '"'; };
  return map.written && std::any_of(map.written->begin(), map.written->end(), [&](const auto& option) {
           const std::string_view value = option.second;
           return quoted(value) && says(value.substr(1, value.size() - 2));
         });
}

// Where an operator has to look: the new and changed maps that the reason names, or all of them if it names none.
json::array culprits(const ConfigChange& change, const std::string& reason) {
  std::vector<std::pair<const DeviceMap*, const char*>> all;
  for (const auto& map : change.added) all.emplace_back(&map, "is new");
  for (const auto& device : change.changed) all.emplace_back(&device.after, "was changed");
  const auto named =
      std::stable_partition(all.begin(), all.end(), [&](const auto& one) { return speaks_of(reason, *one.first); });
  if (named != all.begin()) all.erase(named, all.end());
  json::array out;
  for (const auto& [map, what] : all) {
    if (out.size() == kMostNamed) {
      out.emplace_back("and " + std::to_string(all.size() - kMostNamed) + " other device maps");
      break;
    }
    out.emplace_back(config::Problem{map->place, "device " + map->id.text() + " " + what}.text());
  }
  return out;
}

bool needs_restart(const ConfigChange& change) {
  return std::any_of(change.options.begin(), change.options.end(), [](const auto& one) { return !one.reloadable; });
}

}  // namespace

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warning") return log::Level::warning;
  if (name == "error") return log::Level::error;
  return log::Level::info;
}

// One change, from its file to its answer.
struct Reloader::Run {
  ConfigChange change;
  config::Settings wanted;
  config::Settings before;
  std::vector<DeviceMap> singles;
  std::vector<DeviceMap> singles_before;
  std::vector<std::string> healthy{};  // adapters that were well before
  SteadyTime until{};
  json::object answer{};
  Answer done;  // null: nobody asked
};

Reloader::Reloader(Parts parts, std::vector<DeviceMap> singles) : parts_(std::move(parts)), timer_(parts_.io) {
  if (!parts_.settings.families.empty()) singles_ = std::move(singles);
}

// The families' members; false if the identities cannot be read.
bool Reloader::expand(config::Settings& settings, const std::vector<DeviceMap>& singles, std::string& error) const {
  const auto known = parts_.identities();
  if (!known) {
    error = known.error().message;
    return false;
  }
  auto expanded = expand_families(singles, settings.families, *known);
  settings.devices = std::move(expanded.devices);
  return true;
}

void Reloader::reload(bool dry_run, Answer done) {
  if (!busy_) return begin(dry_run, std::move(done));
  if (waiting_.size() < kMostWaiting) {
    waiting_.emplace_back(dry_run, std::move(done));
  } else {
    done(json::serialize(refusal("too many reloads wait already")));
  }
}

void Reloader::begin(bool dry_run, Answer done) {
  const auto refuse = [&](const std::string& error, const std::vector<config::Problem>& problems) {
    log::warning("reload_refused", {{"error", error}, {"problems", problems.size()}});
    for (const auto& problem : problems) log::warning("reload_problem", {{"error", problem.text()}});
    auto out = refusal(error);
    out["problems"] = texts(problems);
    done(json::serialize(out));
  };
  auto loaded = config::load(parts_.settings.file);
  if (!loaded.problems.empty()) {
    return refuse(std::to_string(loaded.problems.size()) + " problem(s) in the configuration; nothing was changed",
                  loaded.problems);
  }
  auto run = std::make_shared<Run>();
  run->done = done;
  if (!loaded.settings.families.empty()) {
    run->singles = std::move(loaded.settings.devices);
    if (std::string error; !expand(loaded.settings, run->singles, error)) return refuse(error, {});
  }
  run->change = compare(parts_.settings, loaded.settings);
  run->wanted = merged(parts_.settings, std::move(loaded.settings));
  run->answer = {{"ok", true},
                 {"dry_run", dry_run},
                 {"change", to_json(run->change)},
                 {"warnings", texts(loaded.warnings)},
                 {"trouble", json::array()}};
  if (dry_run) return done(json::serialize(run->answer));
  apply(run);
}

void Reloader::identities_changed() {
  if (busy_) {
    again_ = true;
    return;
  }
  if (parts_.settings.families.empty()) return;
  auto run = std::make_shared<Run>();
  run->singles = singles_;
  run->wanted = parts_.settings;
  if (std::string error; !expand(run->wanted, singles_, error)) {
    log::warning("reload_refused", {{"error", error}, {"problems", 0}});
    return;
  }
  run->change = compare(parts_.settings, run->wanted);
  if (!run->change.empty()) apply(run);
}

void Reloader::apply(const std::shared_ptr<Run>& run) {
  busy_ = true;
  ops::notify_reloading();
  run->before = parts_.settings;
  run->singles_before = std::exchange(singles_, run->singles);
  for (const auto& adapter : parts_.devices.status()) {
    if (adapter.healthy) run->healthy.push_back(adapter.name);
  }
  parts_.devices.apply(run->wanted, [this, run](Result<void> applied) {
    if (!applied) return roll_back(run, applied.error().message);
    log::set_level(level_of(parts_.settings.log_level));
    const auto& change = run->change;
    const bool moved = !change.added.empty() || !change.removed.empty() || !change.changed.empty() ||
                       !change.brokers.empty() || change.coap;
    if (!moved) return look_for_trouble(run);
    run->until = std::chrono::steady_clock::now() + kProbation;
    watch(run);
  });
}

// An adapter that worked and does not any more.
std::string Reloader::gone_bad(const Run& run) const {
  for (const auto& adapter : parts_.devices.status()) {
    const bool was = std::find(run.healthy.begin(), run.healthy.end(), adapter.name) != run.healthy.end();
    if (was && !adapter.healthy) return adapter.name + ": " + adapter.detail;
  }
  return {};
}

void Reloader::watch(const std::shared_ptr<Run>& run) {
  if (const auto bad = gone_bad(*run); !bad.empty()) return roll_back(run, bad);
  if (std::chrono::steady_clock::now() >= run->until) return look_for_trouble(run);
  timer_.expires_after(kLook);
  timer_.async_wait([this, run](boost::system::error_code failed) {
    if (!failed) watch(run);
  });
}

void Reloader::roll_back(const std::shared_ptr<Run>& run, const std::string& reason) {
  const auto where = culprits(run->change, reason);
  log::error("reload_rolled_back",
             {{"reason", reason}, {"file", where.empty() ? std::string() : std::string(where.front().as_string())}});
  singles_ = run->singles_before;
  parts_.devices.apply(run->before, [this, run, reason, where](Result<void> applied) {
    auto& answer = run->answer;
    answer = refusal("the new configuration failed, what held before holds again: " + reason +
                     "; correct it and reload again");
    answer["problems"] = where;
    answer["rolled_back"] = true;
    if (!applied) {
      // Only what both sets need can fail now, such as a port that somebody else has taken meanwhile.
      log::error("reload_not_restored", {{"error", applied.error().message}});
      answer["error"] = "the new configuration failed: " + reason +
                        "; and what held before could not be restored: " + applied.error().message +
                        "; restart trunkline";
    }
    log::set_level(level_of(parts_.settings.log_level));
    run->until = std::chrono::steady_clock::now() + kRecovery;
    await_recovery(run);
  });
}

// A broker that was lost is called again after a second or so; who asked hears whether it is there again.
void Reloader::await_recovery(const std::shared_ptr<Run>& run) {
  const auto bad = gone_bad(*run);
  if (bad.empty()) return finish(run, std::move(run->answer));
  if (std::chrono::steady_clock::now() >= run->until) {
    auto& error = run->answer["error"].as_string();
    error += "; not well again yet: " + bad;
    return finish(run, std::move(run->answer));
  }
  timer_.expires_after(kLook);
  timer_.async_wait([this, run](boost::system::error_code failed) {
    if (!failed) await_recovery(run);
  });
}

void Reloader::look_for_trouble(const std::shared_ptr<Run>& run) {
  parts_.hub.status([this, run](const HubLoop::Status& status) {
    std::set<std::string> touched;
    for (const auto& map : run->change.added) touched.insert(map.id.text());
    for (const auto& device : run->change.changed) touched.insert(device.after.id.text());
    json::array trouble;
    for (const auto& device : status.trunk.devices) {
      const bool bad = device.state == SessionState::quarantined || device.state == SessionState::disabled;
      if (bad && touched.contains(device.device.text())) {
        trouble.push_back(json::object{{"id", device.device.text()}, {"fault", device.fault}});
      }
    }
    asio::post(parts_.io, [this, run, trouble = std::move(trouble)]() mutable {
      const auto& change = run->change;
      for (const auto& adapter : parts_.devices.status()) {
        const bool fresh = std::any_of(change.brokers.begin(), change.brokers.end(),
                                       [&](const auto& name) { return adapter.name == adapter_name(name); });
        if (fresh && !adapter.healthy) {
          trouble.push_back(json::object{{"id", adapter.name}, {"fault", adapter.detail}});
        }
      }
      log::info("reload_done", {{"added", change.added.size()},
                                {"removed", change.removed.size()},
                                {"changed", change.changed.size()},
                                {"options", change.options.size()},
                                {"devices", parts_.settings.devices.size()}});
      for (const auto& map : change.added) log::info("device_added", {{"device", map.id.text()}});
      for (const auto& map : change.removed) log::info("device_removed", {{"device", map.id.text()}});
      for (const auto& device : change.changed) log::info("device_changed", {{"device", device.after.id.text()}});
      if (needs_restart(change)) {
        std::string names;
        for (const auto& option : change.options) {
          if (!option.reloadable) names += (names.empty() ? "" : ", ") + option.text.name;
        }
        log::warning("reload_needs_restart", {{"options", names}});
      }
      auto answer = std::move(run->answer);
      answer["trouble"] = trouble;
      finish(run, std::move(answer));
    });
  });
}

void Reloader::finish(const std::shared_ptr<Run>& run, json::object answer) {
  busy_ = false;
  ops::notify_ready(std::to_string(parts_.settings.devices.size()) + " devices, hub " + parts_.settings.hub.host);
  if (run->done) run->done(json::serialize(answer));
  if (std::exchange(again_, false)) identities_changed();
  while (!busy_ && !waiting_.empty()) {
    auto [dry_run, done] = std::move(waiting_.front());
    waiting_.pop_front();
    begin(dry_run, std::move(done));
  }
}

}  // namespace trunkline::app
