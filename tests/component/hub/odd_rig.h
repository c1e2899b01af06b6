// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "tests/component/hub/odd_hub.h"
#include "tests/component/hub/rig.h"

namespace trunkline::tests {

// The real HubLink against a hub that does what the simulator does not.
struct OddRig : Rig {
  explicit OddRig(const std::function<void(hub::HubLink::Options&)>& adjust = {}) : hub(io) {
    hub::HubLink::Options options;
    options.host = "127.0.0.1";
    options.address = hub.address();
    options.ca_file = hub.ca_file();
    options.gateway_id = "gateway-1";
    if (adjust) adjust(options);
    link = std::make_unique<hub::HubLink>(io, options, clock, metrics);
    link->set_events(*this);
    slot = add("d");
  }
  ~OddRig() override { link.reset(); }
  void command_link() {
    connect();
    online(slot, DeviceLink::commands);
    link->grant_commands(slot, 10);
    run_for(std::chrono::milliseconds(20));
  }
  OddHub hub;
  DeviceSlot slot;
};

}  // namespace trunkline::tests
