// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "adapters/mqtt/mqtt_adapter.h"
#include "tests/component/mqtt/broker.h"
#include "tests/support/fake_ingress.h"

namespace trunkline::test {

inline DeviceId device_id(const std::string& text) {
  return DeviceId::parse(text).value();
}

inline DeviceMap mqtt_device(const std::string& id, CommandDone done = CommandDone::replied) {
  DeviceMap map{device_id(id)};
  map.mqtt = MqttMap{"default", "plant/" + id + "/state", "plant/" + id + "/cmd", "plant/" + id + "/done"};
  map.command_done = done;
  return map;
}

inline SteadyTime in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

// One outcome that arrives on some thread.
class OutcomeSlot {
 public:
  Completion<Outcome> completion() {
    return Completion<Outcome>([shared = shared_](Outcome outcome) {
      std::lock_guard lock(shared->mutex);
      shared->outcome = std::move(outcome);
      shared->changed.notify_all();
    });
  }
  std::optional<Outcome> wait(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_for(lock, patience, [this] { return shared_->outcome.has_value(); });
    return shared_->outcome;
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Outcome> outcome;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// An adapter at a broker of its own, with an intake that the test plays.
struct Bench {
  explicit Bench(std::vector<DeviceMap> maps = {mqtt_device("boiler")},
                 std::string broker_config = "allow_anonymous true\n")
      : broker(std::move(broker_config)), devices(std::move(maps)) {
    broker.start();
    settings.broker = net::Endpoint{"127.0.0.1", broker.port()};
  }

  // A new adapter, as a new process would make one; it has started and, unless told otherwise, works.
  MqttAdapter& run(bool wait = true) {
    adapter.reset();
    adapter = std::make_unique<MqttAdapter>(settings, devices, clock, metrics);
    const auto started = adapter->start(ingress);
    if (!started) throw std::runtime_error(started.error().message);
    if (wait && !ingress.wait_presence(devices.front().id, Presence::reachable)) {
      throw std::runtime_error("never connected: " + adapter->status().detail + "\n" + broker.log().output());
    }
    return *adapter;
  }

  static Command command(const std::string& device, std::uint64_t sequence, std::chrono::milliseconds time) {
    Command out{device_id(device)};
    out.sequence = sequence;
    out.body = "open " + std::to_string(sequence);
    out.deadline = in(time);
    return out;
  }
  OutcomeSlot deliver(Command command) {
    OutcomeSlot slot;
    adapter->deliver(std::move(command), slot.completion());
    return slot;
  }

  Broker broker;
  std::vector<DeviceMap> devices;
  config::Mqtt settings;
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  std::unique_ptr<MqttAdapter> adapter;  // last: ends before what it refers to
};

inline Admission always_safe(const Telemetry&) {
  return Admission::safe();
}

}  // namespace trunkline::test
