// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/mapping/device_map.h"

namespace trunkline {

// Raw TCP devices, one listener each; lines are telemetry, and every line is acknowledged with `tcp.ack` once it and
// all earlier ones are safe (D-01). The newest connection is the device. A full gateway shows as a socket that is not
// read. A command is text by template; what makes it done is its reply line or that it was written (C-01). Has one
// thread, started by start() and joined by stop(). start() fails if a listener cannot be opened, naming device and
// address.
class TcpAdapter final : public Adapter {
 public:
  // Takes the maps that have `tcp`, ignores the others. clock and metrics outlive the adapter.
  TcpAdapter(const std::vector<DeviceMap>& maps, const Clock& clock, Metrics& metrics);
  ~TcpAdapter() override;

  [[nodiscard]] std::string_view name() const override { return "tcp"; }
  Result<void> start(Ingress& ingress) override;
  void deliver(Command command, Completion<Outcome> done) override;
  void change(DeviceChanges changes, std::function<void(Result<void>)> done) override;
  void stop(SteadyTime deadline) override;
  [[nodiscard]] AdapterStatus status() const override;

  // "127.0.0.1:4001": where a device is listened for, with the port that was chosen for port 0. Between start and stop;
  // empty for others' devices.
  [[nodiscard]] std::string listening(const DeviceId& device) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline
