// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "config/settings.h"
#include "identity/identity_store.h"

namespace trunkline::cli {

// What the hub says of this gateway's configuration and keys.
struct HubProof {
  struct Refusal {
    DeviceId device;
    std::string why;
    bool denied = true;  // the key is wrong, or the device disabled; false: it may be answered otherwise later
  };
  std::string unreachable;             // why there is no connection; empty: the hub let us in
  std::string lost;                    // why the connection ended before all was answered
  std::size_t accepted = 0;            // devices with a key that works, …
  std::vector<DeviceId> by_secondary;  // … of which these only by their secondary key
  std::vector<Refusal> refused;
  std::size_t not_tried = 0;  // more than one connection may hold, or out of time
};

// Connects as the gateway would and asks for each enabled identity's token, on one connection of its own: no device's
// link is attached, so a gateway that runs beside it is not disturbed. Blocks for up to a minute; called on the main
// thread of a command, never in the daemon.
HubProof prove_hub(const config::Hub& settings, const std::vector<identity::Identity>& identities);

}  // namespace trunkline::cli
