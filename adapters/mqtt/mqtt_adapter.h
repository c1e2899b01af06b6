// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/mapping/device_map.h"

namespace trunkline {

// The devices behind one MQTT broker. Owned by the composition root, constructed before its first thread (Paho takes
// proxies from the environment, and the constructor clears those variables). Two threads of its own: "mqtt" makes every
// call into Paho, "mqtt-watch" keeps deadlines, presence and reconnection. A message is acknowledged to the broker only
// when it is safe: Paho's callback waits for that (README.md beside this file). An unreachable broker is not a failure:
// status says why, and it keeps trying.
class MqttAdapter final : public Adapter {
 public:
  // Takes those of `devices` whose map names this broker.
  MqttAdapter(config::Mqtt settings, const std::vector<DeviceMap>& devices, const Clock& clock, Metrics& metrics);
  ~MqttAdapter() override;

  [[nodiscard]] std::string_view name() const override { return name_; }
  Result<void> start(Ingress& ingress) override;
  void deliver(Command command, Completion<Outcome> done) override;
  void change(DeviceChanges changes, std::function<void(Result<void>)> done) override;
  void stop(SteadyTime deadline) override;
  [[nodiscard]] AdapterStatus status() const override;

 private:
  class Runtime;
  std::string name_;
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace trunkline
