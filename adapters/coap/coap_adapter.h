// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/mapping/device_map.h"

namespace trunkline {

// CoAP devices on a plain UDP listener, a DTLS 1.2 listener, or both. Over DTLS the pre-shared key's identity or the
// certificate's name decides who it is, and the key is looked at again with every request, so that a key that is gone
// is gone at once; on the plain listener the path or the source address decides (I-02). A POST or PUT to a telemetry
// path, in blocks if need be, is acknowledged empty at once and answered with a separate 2.04 when the message and all
// earlier ones of the device are safe (D-01): the 2.04 is the acceptance, the empty acknowledgement is not. A full
// gateway answers 5.03 with Max-Age, a refused message 4.00 or 4.13. A command goes to the observers of the command
// path, or on the answer to telemetry, or to the device's own server, and is done when the device says so (C-01). Has
// one thread, started by start() and joined by stop(). start() fails if it cannot listen, a file cannot be used or the
// maps contradict each other.
class CoapAdapter final : public Adapter {
 public:
  // Takes the maps that have `coap`, ignores the others. clock and metrics outlive the adapter.
  CoapAdapter(config::Coap settings, const std::vector<DeviceMap>& maps, const Clock& clock, Metrics& metrics);
  ~CoapAdapter() override;

  [[nodiscard]] std::string_view name() const override { return "coap"; }
  Result<void> start(Ingress& ingress) override;
  void deliver(Command command, Completion<Outcome> done) override;
  void change(DeviceChanges changes, std::function<void(Result<void>)> done) override;
  void stop(SteadyTime deadline) override;
  [[nodiscard]] AdapterStatus status() const override;

  // The address with the port that was chosen for port 0, of the plain or of the DTLS listener. After start.
  [[nodiscard]] std::string listening(bool secure = false) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline
