// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/mapping/device_map.h"

namespace trunkline {

// Stands before intake and applies each device's payload map, so that every adapter shapes alike. A device without one
// passes straight through. What the map drops is acknowledged and counted by reason, what it cannot read is refused. A
// message that intake throttles is not remembered as sent, so its repetition is not dropped as "unchanged" (D-01).
// Values that are grouped: their sender is answered when the group is safe, or at once if it cannot send another one
// before the answer (Telemetry::sender_waits); that one's values are lost if we crash within the window. Owned by the
// composition root; `submit` and `presence` from any thread, `tick` and `change` from one. Must outlive every
// completion.
class ShapingIngress final : public Ingress {
 public:
  ShapingIngress(Ingress& inner, const std::vector<DeviceMap>& devices, const Clock& clock, Metrics& metrics);
  ~ShapingIngress() override;

  void submit(Telemetry telemetry, Completion<Admission> done) override;
  void presence(const DeviceId& device, Presence presence) override { inner_.presence(device, presence); }
  Result<void> report(const DeviceId& device, std::string_view patch) override { return inner_.report(device, patch); }
  [[nodiscard]] Result<Secret> handshake_key(const DeviceId& device) const override {
    return inner_.handshake_key(device);
  }

  // Other payload maps from now on; a group that is open goes up by the old one.
  void change(const DeviceChanges& changes);

  // False while no map groups, so that tick has nothing to do. As `tick`.
  [[nodiscard]] bool groups() const { return groups_ || !leaving_.empty(); }
  // Hands over the groups that have ended, or all of them.
  void tick(bool all = false);

 private:
  struct Device;
  void say_state(const DeviceId& id, Device& device, const std::string& state);
  using DevicePtr = std::shared_ptr<Device>;
  using Devices = std::unordered_map<DeviceId, DevicePtr>;
  // False when nothing of it is left to send.
  bool tick(const DevicePtr& device, SteadyTime now, bool all);
  void send_group(const DevicePtr& device, Telemetry telemetry, std::vector<Completion<Admission>> waiting);

  Ingress& inner_;
  const Clock& clock_;
  std::atomic<std::shared_ptr<const Devices>> devices_;  // only those with a map
  bool groups_ = false;
  std::vector<DevicePtr> leaving_;  // they have another map now, and a group to finish
  Metric& shaped_;
  Metric& grouped_;
  Metric& refused_;
  Metrics& metrics_;
};

}  // namespace trunkline
