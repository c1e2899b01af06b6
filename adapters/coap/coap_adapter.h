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

// CoAP devices on one plain UDP listener. A POST or PUT to a telemetry path is acknowledged empty at once and answered
// with a separate 2.04 when the message and all earlier ones of the device are safe (D-01): the 2.04 is the acceptance,
// the empty acknowledgement is not. A full gateway answers 5.03 with Max-Age, a refused message 4.00 or 4.13. A command
// is a confirmable notification to the observers of the command path with `id=` as Location-Query, and is done when the
// device POSTs that id to the result path (C-01); a plain GET shows the command that waits, else 2.05 without payload.
// Bodies of more than one datagram are answered with 4.13. Has one thread, started by start() and joined by stop().
// start() fails if it cannot listen or the maps contradict each other.
class CoapAdapter final : public Adapter {
 public:
  // `listen` is "127.0.0.1:5683". Takes the maps that have `coap`, ignores the others. clock and metrics outlive the
  // adapter.
  CoapAdapter(std::string listen, const std::vector<DeviceMap>& maps, const Clock& clock, Metrics& metrics);
  ~CoapAdapter() override;

  [[nodiscard]] std::string_view name() const override { return "coap"; }
  Result<void> start(Ingress& ingress) override;
  void deliver(Command command, Completion<Outcome> done) override;
  void stop(SteadyTime deadline) override;
  [[nodiscard]] AdapterStatus status() const override;

  // The address with the port that was chosen for port 0. After start.
  [[nodiscard]] std::string listening() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline
