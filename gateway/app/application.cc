// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/application.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <deque>
#include <iostream>
#include <unordered_map>
#include <vector>

#include "config/settings.h"
#include "gateway/app/device_set.h"
#include "gateway/app/hub_loop.h"
#include "gateway/app/limits.h"
#include "gateway/app/reloader.h"
#include "gateway/app/status.h"
#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "gateway/base/metrics.h"
#include "gateway/hub/hub_link.h"
#include "gateway/mapping/family.h"
#include "gateway/ops/control.h"
#include "gateway/ops/control_server.h"
#include "gateway/ops/service_manager.h"
#include "gateway/pipeline/intake.h"
#include "gateway/pipeline/shaping_ingress.h"
#include "gateway/pipeline/store_thread.h"
#include "identity/directory.h"
#include "identity/identity_store.h"

namespace trunkline::app {
namespace {

namespace asio = boost::asio;

// A thread that has not answered by then is reported as stalled.
constexpr std::chrono::seconds kAnswerLimit{2};
constexpr std::chrono::milliseconds kGroupRaster{100};
constexpr std::chrono::seconds kNoGroups{5};  // a reload may bring some
constexpr std::chrono::seconds kNoteUsage{30};
constexpr Milliseconds kStopAdapters{3000};
// Commands in our own care are held in memory, too.
constexpr std::uint64_t kMostBeside = 32ULL * 1024 * 1024;
constexpr Milliseconds kStopHub{5000};

// Members are declared in start order, so destruction is the reverse.
class Application final : private ops::Control {
 public:
  // singles: the device maps before families were expanded into the settings' devices.
  Application(config::Settings settings, std::vector<DeviceMap> singles,
              std::unique_ptr<identity::IdentityStore> identities, std::unique_ptr<Spool> spool)
      : settings_(std::move(settings)),
        identities_(std::move(identities)),
        spool_(std::move(spool)),
        directory_(settings_.hub.host, settings_.hub.token_lifetime),
        capacity_(capacity_limits()),
        store_(*spool_, capacity_, metrics_, store_options()),
        store_thread_(store_, capacity_, clock_, [this](ReadAnswer answer) { hub_.on_read(std::move(answer)); }),
        hub_({clock_, metrics_, store_thread_, live_, capacity_, directory_}, link_options(), multiplexer_options(),
             twin_options(), random_seed()),
        intake_(
            store_thread_, live_, capacity_, sizer_, clock_, metrics_, spool_->run(),
            [this](const DeviceId& device, Presence presence) { hub_.presence(device, presence); },
            [this](const DeviceId& device) { return directory_.psk(device); },
            [this](const DeviceId& device, std::string patch) { hub_.report(device, std::move(patch)); }),
        shaping_(intake_, settings_.devices, clock_, metrics_),
        devices_({settings_, clock_, metrics_, *spool_, directory_, capacity_, shaping_, hub_, io_}),
        reloader_({settings_, devices_, hub_, io_, [this] { return known(); }}, std::move(singles)) {}

  int run();

 private:
  hub::HubLink::Options link_options() const {
    hub::HubLink::Options out;
    out.host = settings_.hub.host;
    out.address = settings_.hub.address;
    out.ca_file = settings_.hub.ca_file;
    out.gateway_id = "trunkline-" + spool_->uuid();
    out.spool_uuid = spool_->uuid();
    return out;
  }

  Multiplexer::Options multiplexer_options() const {
    Multiplexer::Options out;
    out.attach_rate = settings_.hub.attach_rate;
    out.send_rate = settings_.hub.send_rate;
    out.attach_at_start = settings_.hub.attach == config::Attach::start;
    // As installed there is nobody to speak for, and perhaps no hub to speak to.
    out.trunk.keep_first = !settings_.devices.empty();
    out.trunk.max_devices = settings_.hub.max_devices_per_connection;
    return out;
  }
  TwinKeeper::Options twin_options() const {
    TwinKeeper::Options out;
    out.report_every = settings_.hub.report_every;
    out.report_state = settings_.hub.report_state;
    return out;
  }
  Capacity::Limits capacity_limits() const {
    Capacity::Limits out;
    out.max_bytes = Spool::room(settings_.spool.max_bytes);
    out.max_messages = settings_.spool.max_messages;
    out.device_bytes = out.max_bytes * settings_.spool.device_share / 100;
    out.beside_bytes = std::min(out.max_bytes / 16, kMostBeside);
    return out;
  }
  Store::Options store_options() const {
    Store::Options out;
    out.commit_delay = settings_.spool.commit_delay;
    out.ledger_flush = settings_.spool.ledger_flush;
    out.max_bytes = settings_.spool.max_bytes;
    out.synced = settings_.spool.durability == config::Durability::power;
    return out;
  }

  [[nodiscard]] Result<std::vector<DeviceId>> known() const;
  void await_hangup();
  void note_usage();
  Result<void> start();
  void stop();
  void feed_watchdog();
  void end_groups();
  void look(std::function<void(const Snapshot&)> done);

  void status(std::function<void(std::string)> done) override;
  void alive(std::function<void(bool, std::string)> done) override;
  void ready(std::function<void(bool, std::string)> done) override;
  void kept(std::string request, std::function<void(std::string)> done) override;
  std::string metrics() override;
  void reload(bool dry_run, std::function<void(std::string)> done) override;
  std::string identities_changed() override;

  config::Settings settings_;  // only devices_ changes it
  SystemClock clock_;
  Metrics metrics_;
  std::unique_ptr<identity::IdentityStore> identities_;
  std::unique_ptr<Spool> spool_;
  identity::Directory directory_;
  Capacity capacity_;
  hub::HubMessageSizer sizer_;
  LiveFeed live_;
  Store store_;
  StoreThread store_thread_;
  HubLoop hub_;
  Intake intake_;
  ShapingIngress shaping_;
  asio::io_context io_{1};
  DeviceSet devices_;
  Reloader reloader_;
  asio::signal_set hangup_{io_, SIGHUP};
  asio::steady_timer watchdog_{io_};
  asio::steady_timer groups_{io_};
  asio::steady_timer usage_{io_};
  std::unordered_map<DeviceId, std::pair<WallTime, WallTime>> noted_;  // of each device, used and refused
  std::unique_ptr<ops::ControlServer> control_;
  std::unique_ptr<ops::HttpServer> http_;
  std::atomic<bool> damaged_ = false;  // the spool's file, while in use
};

Result<void> Application::start() {
  auto identities = identities_->all();
  if (!identities) return fail(identities.error());
  directory_.replace(std::move(*identities));
  const auto depth = spool_->depth();
  if (auto prepared = devices_.prepare(); !prepared) return prepared;

  if (!settings_.status.control.empty()) {
    auto control = ops::ControlServer::open(io_, settings_.status.control, *this);
    if (!control) return fail(control.error());
    control_ = std::move(*control);
  }
  if (!settings_.status.listen.empty()) {
    auto http = ops::HttpServer::open(io_, settings_.status.listen, *this);
    if (!http) return fail(http.error());
    http_ = std::move(*http);
  }
  store_thread_.on_removed([this](std::vector<Removal> removed) { hub_.on_removed(std::move(removed)); });
  store_thread_.on_damaged([this] {
    // A new start sets the file aside; until then nothing would be acknowledged.
    damaged_ = true;
    asio::post(io_, [this] { io_.stop(); });
  });
  store_thread_.start();
  hub_.start();
  if (auto started = devices_.start(); !started) return started;
  log::info("gateway_started", {{"version", TRUNKLINE_VERSION},
                                {"hub", settings_.hub.host},
                                {"devices", settings_.devices.size()},
                                {"waiting", depth.messages},
                                {"run", spool_->run()},
                                {"sync_us", spool_->sync_time() ? spool_->sync_time()->count() : 0},
                                {"status", http_ ? http_->local() : settings_.status.control}});
  return {};
}

int Application::run() {
  asio::signal_set signals(io_, SIGTERM, SIGINT);
  signals.async_wait([this](boost::system::error_code failed, int number) {
    if (failed) return;
    log::info("gateway_stopping", {{"signal", number}});
    io_.stop();
  });
  const auto started = start();
  if (!started) {
    std::cerr << "trunkline: " << started.error().message << '\n';
  } else {
    ops::notify_ready(std::to_string(settings_.devices.size()) + " devices, hub " + settings_.hub.host);
    feed_watchdog();
    end_groups();
    await_hangup();
    note_usage();
    io_.run();
  }
  ops::notify_stopping();
  stop();
  return started && !damaged_ ? 0 : 1;
}

void Application::stop() {
  const auto begin = clock_.steady();
  devices_.stop(begin + kStopAdapters);
  shaping_.tick(true);
  intake_.close();
  hub_.stop(clock_.steady() + kStopHub);
  store_thread_.stop();
  log::info("gateway_stopped", {{"waiting", spool_->depth().messages}});
}

void Application::feed_watchdog() {
  const auto interval = ops::watchdog_interval();
  if (!interval) return;
  alive([](bool good, const std::string& reason) {
    if (good) {
      ops::notify_watchdog();
    } else {
      log::error("watchdog_not_fed", {{"error", reason}});
    }
  });
  watchdog_.expires_after(*interval);
  watchdog_.async_wait([this](boost::system::error_code failed) {
    if (!failed) feed_watchdog();
  });
}

// Groups of values end on a raster of time.
void Application::end_groups() {
  shaping_.tick();
  groups_.expires_after(shaping_.groups() ? std::chrono::milliseconds(kGroupRaster) : kNoGroups);
  groups_.async_wait([this](boost::system::error_code failed) {
    if (!failed) end_groups();
  });
}

// Asks both threads and waits for their answers on the ops thread; nothing blocks.
void Application::look(std::function<void(const Snapshot&)> done) {
  struct Look {
    Snapshot snapshot;
    asio::steady_timer limit;
    std::function<void(const Snapshot&)> done;
    void finish() {
      if (auto tell = std::exchange(done, nullptr)) tell(snapshot);
    }
  };
  auto state = std::make_shared<Look>(Look{{}, asio::steady_timer(io_), std::move(done)});
  state->snapshot.used_bytes = capacity_.bytes();
  state->snapshot.room_bytes = capacity_.max_bytes();
  state->snapshot.adapters = devices_.status();
  state->limit.expires_after(kAnswerLimit);
  state->limit.async_wait([state](boost::system::error_code) { state->finish(); });
  const auto arrived = [state] {
    if (state->snapshot.store && state->snapshot.uplink) state->limit.cancel();
  };
  store_thread_.status([this, state, arrived](const Store::Status& status) {
    asio::post(io_, [state, arrived, status] {
      state->snapshot.store = status;
      arrived();
    });
  });
  hub_.status([this, state, arrived](const HubLoop::Status& status) {
    asio::post(io_, [state, arrived, status] {
      state->snapshot.uplink = status.trunk;
      state->snapshot.twins = status.twins;
      state->snapshot.commands = status.commands;
      state->snapshot.clock_behind = status.clock_behind;
      arrived();
    });
  });
}

void Application::status(std::function<void(std::string)> done) {
  look([this, done = std::move(done)](const Snapshot& snapshot) {
    done(to_json(snapshot, settings_, clock_.steady(), clock_.wall()));
  });
}

void Application::alive(std::function<void(bool, std::string)> done) {
  // Only a thread that stands still, or connections that stall however often they are made anew, are cured by a
  // restart; a full disk or an absent hub is not.
  look([this, done = std::move(done)](const Snapshot& snapshot) {
    done(snapshot.store && snapshot.uplink && snapshot.uplink->healthy, judge(snapshot, settings_).reason);
  });
}

void Application::ready(std::function<void(bool, std::string)> done) {
  look([this, done = std::move(done)](const Snapshot& snapshot) {
    const bool idle = snapshot.uplink && snapshot.uplink->devices.empty();
    const bool open = snapshot.uplink && (idle || snapshot.uplink->connected());
    const auto verdict = judge(snapshot, settings_);
    done(open && verdict.level != Verdict::Level::failed, verdict.reason);
  });
}

void Application::kept(std::string request, std::function<void(std::string)> done) {
  store_thread_.ask([this, request = std::move(request), done = std::move(done)](Store& store) {
    const auto kept = store.kept(clock_.moment(), [this](const DeadLetter& letter) { intake_.readmit(letter); });
    asio::post(io_, [done, text = answer(kept, request)] { done(text); });
  });
}

std::string Application::metrics() {
  metrics_.metric("spool_used_bytes", "Bytes reserved in the spool").set(capacity_.bytes());
  return metrics_.text();
}

Result<std::vector<DeviceId>> Application::known() const {
  const auto identities = identities_->all();
  if (!identities) return fail(identities.error());
  std::vector<DeviceId> out;
  for (const auto& identity : *identities) out.push_back(identity.device);
  return out;
}

void Application::await_hangup() {
  hangup_.async_wait([this](boost::system::error_code failed, int) {
    if (failed) return;
    reloader_.reload(false, [](const std::string&) {});
    await_hangup();
  });
}

// How the keys fare is for people who look now and then, so it may be a minute late; a tick with nothing new writes
// nothing.
void Application::note_usage() {
  hub_.status([this](const HubLoop::Status& status) {
    std::vector<identity::Usage> usages;
    for (const auto& device : status.trunk.devices) {
      usages.push_back({device.device, device.used_at, device.refused_at, device.fault});
    }
    asio::post(io_, [this, usages = std::move(usages)]() mutable {
      std::erase_if(usages, [this](const identity::Usage& usage) {
        auto& noted = noted_[usage.device];
        return std::exchange(noted, std::pair(usage.used, usage.refused)) == std::pair(usage.used, usage.refused);
      });
      if (usages.empty()) return;
      if (auto done = identities_->note(usages); !done) {
        noted_.clear();
        log::warning("identity_usage_not_noted", {{"error", done.error().message}});
      }
    });
  });
  usage_.expires_after(kNoteUsage);
  usage_.async_wait([this](boost::system::error_code failed) {
    if (!failed) note_usage();
  });
}

void Application::reload(bool dry_run, std::function<void(std::string)> done) {
  reloader_.reload(dry_run, std::move(done));
}

std::string Application::identities_changed() {
  auto identities = identities_->all();
  if (!identities) return identities.error().message;
  auto changed = directory_.replace(std::move(*identities));
  log::info("identities_reloaded", {{"devices", directory_.size()}, {"changed", changed.size()}});
  hub_.identities_changed(std::move(changed));
  reloader_.identities_changed();
  return {};
}

}  // namespace

int run(const std::string& config_file) {
  auto loaded = config::load(config_file);
  for (const auto& warning : loaded.warnings) std::cerr << "warning: " << warning.text() << '\n';
  if (!loaded.problems.empty()) {
    for (const auto& problem : loaded.problems) std::cerr << problem.text() << '\n';
    std::cerr << "trunkline: " << loaded.problems.size() << " problem(s) in the configuration; nothing was started\n";
    return 2;
  }
  log::set_level(level_of(loaded.settings.log_level));
  // No core file holds keys (S-01).
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  std::signal(SIGPIPE, SIG_IGN);

  auto identities = identity::open_store(loaded.settings.identity.store, loaded.settings.identity.key_file);
  if (!identities) {
    std::cerr << "trunkline: identity store: " << identities.error().message << '\n';
    // A wrong key or a damaged store is for the operator, as a wrong configuration is; starting again does not help.
    const auto code = identities.error().code;
    return code == ErrorCode::denied || code == ErrorCode::corrupt || code == ErrorCode::not_found ? 2 : 1;
  }
  auto spool = Spool::open(app::spool_options(loaded.settings));
  if (!spool) {
    std::cerr << "trunkline: spool: " << spool.error().message << '\n';
    return 1;
  }
  const auto all = (*identities)->all();
  if (!all) {
    std::cerr << "trunkline: identity store: " << all.error().message << '\n';
    return 1;
  }
  std::vector<DeviceId> known;
  for (const auto& identity : *all) known.push_back(identity.device);
  auto singles = loaded.settings.devices;
  auto expanded = expand_families(singles, loaded.settings.families, known);
  loaded.settings.devices = std::move(expanded.devices);
  for (const auto& note : expanded.warnings) {
    log::warning("family_incomplete", {{"file", note.place.file}, {"line", note.place.line}, {"error", note.message}});
  }
  int status = 1;
  {
    Application application(std::move(loaded.settings), std::move(singles), std::move(*identities), std::move(*spool));
    status = application.run();
    // An MQTT arrival that could not become safe still holds its callback: the process ends without returning from it,
    // so that its PUBACK never leaves (D-06). Everything else has been stopped and flushed by now.
    std::cout.flush();
    std::fflush(nullptr);
    ::_exit(status);
  }
}

}  // namespace trunkline::app
