// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/mqtt_adapter.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <unordered_map>

#include "adapters/mqtt/arrivals.h"
#include "adapters/mqtt/broker_watch.h"
#include "adapters/mqtt/caller.h"
#include "adapters/mqtt/session_options.h"
#include "gateway/base/log.h"

namespace trunkline {

namespace mqtt {
namespace {

std::vector<DeviceMap> of_broker(const std::vector<DeviceMap>& devices, const std::string& broker) {
  std::vector<DeviceMap> out;
  for (const auto& device : devices) {
    if (device.mqtt && device.mqtt->broker == broker) out.push_back(device);
  }
  return out;
}

bool any_proved_by_puback(const std::vector<DeviceMap>& devices) {
  return std::any_of(devices.begin(), devices.end(), [](const DeviceMap& device) {
    const auto& mqtt = *device.mqtt;
    return (mqtt.command && device.command_done == CommandDone::acknowledged) || (mqtt.desired && !mqtt.reported);
  });
}

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
        devices_(std::move(devices)),
        clock_(clock),
        metrics_(metrics),
        notes_(devices_.size()) {
    for (std::size_t i = 0; i < devices_.size(); ++i) index_.emplace(devices_[i].id, i);
  }

  Result<void> start(Ingress& ingress) {
    auto topics = mqtt::TopicTable::make(devices_);
    if (!topics) return fail(topics.error());
    topics_ = std::move(*topics);
    for (const auto& device : devices_) {
      if (device.mqtt->command && device.command_done == CommandDone::replied && !device.mqtt->command_reply) {
        return fail(
            ErrorCode::invalid,
            "device " + device.id.text() + ": a command is done when the device replied, but no reply topic is mapped");
      }
    }
    if (auto options = mqtt::session_options(settings_); !options) return fail(options.error());

    if (const auto off = mqtt::unchecked(settings_); !off.empty()) {
      log::warning("broker_unverified", {{"adapter", name_}, {"peer", settings_.broker.text()}, {"off", off}});
    }
    const bool commands_apart = settings_.version == "5" && mqtt::any_proved_by_puback(devices_);
    arrivals_.emplace(mqtt::Arrivals::Place{name_, settings_.broker.port}, devices_, topics_, clock_, metrics_, events_,
                      notes_, unknown_, gate_, ingress);
    watch_.emplace(name_, settings_.broker.text(), devices_, topics_.subscriptions(), settings_.version == "3.1.1",
                   commands_apart, clock_, metrics_, events_, jobs_, notes_, gate_, ingress);
    caller_.emplace([this] { return mqtt::session_options(settings_); }, topics_.subscriptions(), commands_apart, jobs_,
                    events_, *this, gate_);
    caller_thread_ = mqtt::named_thread("mqtt", [this] { caller_->run(); });
    watch_thread_ = mqtt::named_thread("mqtt-watch", [this] { watch_->run(); });
    return {};
  }

  void deliver(Command command, Completion<Outcome> done) {
    const auto found = index_.find(command.device);
    if (found == index_.end()) {
      done(Outcome::rejected("amqp:not-found", "no such device behind " + name_));
      return;
    }
    mqtt::Event event = mqtt::CommandCame{found->second, std::move(command), std::move(done)};
    if (!events_.push(std::move(event))) {
      std::get<mqtt::CommandCame>(event).done(Outcome::released("the gateway is stopping"));
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
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      AdapterDeviceStatus device;
      device.device = devices_[i].id.text();
      device.presence = notes_[i].reachable.load(std::memory_order_relaxed) ? Presence::reachable : Presence::away;
      device.peer = devices_[i].mqtt->telemetry;
      const auto heard = notes_[i].heard_at.load(std::memory_order_relaxed);
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
  const std::vector<DeviceMap> devices_;
  const Clock& clock_;
  Metrics& metrics_;
  std::unordered_map<DeviceId, std::size_t> index_;
  mqtt::TopicTable topics_;
  mqtt::EventQueue events_;
  mqtt::JobQueue jobs_;
  mqtt::DeviceNotes notes_;
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
  auto own = mqtt::of_broker(devices, settings.name);
  runtime_ = std::make_unique<Runtime>(name_, std::move(settings), std::move(own), clock, metrics);
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

void MqttAdapter::stop(SteadyTime deadline) {
  runtime_->stop(deadline);
}

AdapterStatus MqttAdapter::status() const {
  return runtime_->status();
}

}  // namespace trunkline
