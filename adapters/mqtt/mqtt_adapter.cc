// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/mqtt_adapter.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "adapters/mqtt/arrivals.h"
#include "adapters/mqtt/broker_watch.h"
#include "adapters/mqtt/caller.h"
#include "adapters/mqtt/roster.h"
#include "adapters/mqtt/session_options.h"
#include "gateway/base/log.h"

namespace trunkline {

namespace mqtt {
namespace {

// What TLS does not check of this broker, as its settings name it; nothing if all is checked.
std::string unchecked(const config::Mqtt& settings) {
  if (!settings.tls || (settings.verify_certificate && settings.verify_host)) return {};
  if (settings.verify_certificate) return "verify_host";
  return settings.verify_host ? "verify_certificate" : "verify_certificate and verify_host";
}

// No thread dies quietly.
template <class F>
std::thread named_thread(const char* name, F body) {
  return std::thread([name, body = std::move(body)] {
    ::pthread_setname_np(::pthread_self(), name);
    try {
      body();
    } catch (const std::exception& e) {
      log::error("thread_failed", {{"adapter", name}, {"error", e.what()}});
      std::abort();
    }
  });
}

}  // namespace
}  // namespace mqtt

class MqttAdapter::Runtime final : public mqtt::SessionEvents {
 public:
  Runtime(std::string name, config::Mqtt settings, std::vector<DeviceMap> devices, const Clock& clock, Metrics& metrics)
      : name_(std::move(name)),
        settings_(std::move(settings)),
        maps_(std::move(devices)),
        rosters_(std::make_shared<const mqtt::Roster>()),
        clock_(clock),
        metrics_(metrics) {}

  Result<void> start(Ingress& ingress) {
    auto roster = mqtt::Roster::make(settings_.name, std::exchange(maps_, {}));
    if (!roster) return fail(roster.error());
    rosters_.now = std::move(*roster);
    if (auto options = mqtt::session_options(settings_); !options) return fail(options.error());

    if (const auto off = mqtt::unchecked(settings_); !off.empty()) {
      log::warning("broker_unverified", {{"adapter", name_}, {"peer", settings_.broker.text()}, {"off", off}});
    }
    arrivals_.emplace(mqtt::Arrivals::Place{name_, settings_.broker.port}, rosters_, clock_, metrics_, events_,
                      unknown_, gate_, ingress);
    watch_.emplace(name_, settings_.broker.text(), rosters_, settings_.version == "3.1.1", settings_.version == "5",
                   clock_, metrics_, events_, jobs_, gate_, ingress);
    caller_.emplace([this] { return mqtt::session_options(settings_); }, jobs_, events_, *this, gate_);
    caller_thread_ = mqtt::named_thread("mqtt", [this] { caller_->run(); });
    watch_thread_ = mqtt::named_thread("mqtt-watch", [this] { watch_->run(); });
    return {};
  }

  void deliver(Command command, Completion<Outcome> done) {
    const auto roster = rosters_.now.load();
    const auto found = roster->places.find(command.device);
    if (found == roster->places.end()) {
      done(Outcome::released("the device's map has just been changed"));
      return;
    }
    mqtt::Event event = mqtt::CommandCame{found->second, std::move(command), std::move(done)};
    if (!events_.push(std::move(event))) {
      std::get<mqtt::CommandCame>(event).done(Outcome::released("the gateway is stopping"));
    }
  }

  void change(const DeviceChanges& changes, std::function<void(Result<void>)> done) {
    auto roster = rosters_.now.load()->with(settings_.name, changes);
    if (!roster) return done(fail(roster.error().in(name_)));
    mqtt::Event event = mqtt::RosterCame{std::move(*roster), std::move(done)};
    if (!events_.push(std::move(event))) {
      std::get<mqtt::RosterCame>(event).done(fail(ErrorCode::unavailable, "the gateway is stopping"));
    }
  }

  void stop(SteadyTime deadline) {
    if (!watch_thread_.joinable()) return;
    events_.push(mqtt::StopAsked{deadline});
    watch_thread_.join();
    caller_thread_.join();
  }

  [[nodiscard]] AdapterStatus status() const {
    AdapterStatus out;
    out.name = name_;
    const auto link = watch_ ? watch_->status() : mqtt::LinkStatus{};
    out.healthy = link.healthy;
    out.detail = link.detail;
    if (const auto off = mqtt::unchecked(settings_); !off.empty()) {
      out.detail += "; INSECURE: " + off + " is off, anybody could pose as this broker";
    }
    out.unknown_topics = unknown_.sample();
    const auto roster = rosters_.now.load();
    for (std::size_t i = 0; i < roster->devices.size(); ++i) {
      if (!roster->holds(i)) continue;
      const auto& note = *roster->notes[i];
      AdapterDeviceStatus device;
      device.device = roster->devices[i].id.text();
      device.presence = note.reachable.load(std::memory_order_relaxed) ? Presence::reachable : Presence::away;
      device.peer = roster->devices[i].mqtt->telemetry;
      const auto heard = note.heard_at.load(std::memory_order_relaxed);
      if (heard != 0) device.last_heard = WallTime(WallTime::duration(heard));
      out.devices.push_back(std::move(device));
    }
    return out;
  }

 private:
  void connected(std::uint64_t epoch, bool session_present) noexcept override {
    events_.push(mqtt::SessionUp{epoch, session_present});
  }
  void lost(std::uint64_t epoch, std::string why) noexcept override {
    events_.push(mqtt::SessionLost{epoch, std::move(why)});
  }
  void subscribed(std::uint64_t epoch, std::size_t place, unsigned reason) noexcept override {
    events_.push(mqtt::SubscribeAnswered{epoch, place, reason});
  }
  void commands_ready(std::uint64_t epoch) noexcept override { events_.push(mqtt::CommandsReady{epoch}); }
  void published(std::uint64_t ticket) noexcept override { events_.push(mqtt::PublishAnswered{ticket}); }
  void publish_failed(std::uint64_t ticket, unsigned reason, std::string why) noexcept override {
    events_.push(mqtt::PublishFailed{ticket, reason, std::move(why)});
  }
  void arrived(const mqtt::Arrival& arrival) noexcept override { arrivals_->take(arrival); }

  const std::string name_;
  const config::Mqtt settings_;
  std::vector<DeviceMap> maps_;  // before start
  mqtt::Rosters rosters_;
  const Clock& clock_;
  Metrics& metrics_;
  mqtt::EventQueue events_;
  mqtt::JobQueue jobs_;
  mqtt::UnknownTopics unknown_;
  mqtt::ArrivalGate gate_;
  std::optional<mqtt::Arrivals> arrivals_;
  std::optional<mqtt::BrokerWatch> watch_;
  std::optional<mqtt::Caller> caller_;
  std::thread caller_thread_;
  std::thread watch_thread_;
};

MqttAdapter::MqttAdapter(config::Mqtt settings, const std::vector<DeviceMap>& devices, const Clock& clock,
                         Metrics& metrics)
    : name_(settings.name == "default" ? "mqtt" : "mqtt-" + settings.name) {
  // Paho would send even a plain broker connection through these, and has no switch against it.
  ::unsetenv("http_proxy");
  ::unsetenv("https_proxy");
  runtime_ = std::make_unique<Runtime>(name_, std::move(settings), devices, clock, metrics);
}

MqttAdapter::~MqttAdapter() {
  stop(std::chrono::steady_clock::now());
}

Result<void> MqttAdapter::start(Ingress& ingress) {
  if (auto started = runtime_->start(ingress); !started) return fail(started.error().in(name_));
  return {};
}

void MqttAdapter::deliver(Command command, Completion<Outcome> done) {
  runtime_->deliver(std::move(command), std::move(done));
}

void MqttAdapter::change(DeviceChanges changes, std::function<void(Result<void>)> done) {
  runtime_->change(changes, std::move(done));
}

void MqttAdapter::stop(SteadyTime deadline) {
  runtime_->stop(deadline);
}

AdapterStatus MqttAdapter::status() const {
  return runtime_->status();
}

}  // namespace trunkline
