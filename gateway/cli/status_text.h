// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/json.h"

namespace trunkline::cli {

// The status object (gateway/ops/README.md) for a person: the verdict in the first line, then hub, safety, adapters and
// devices. What the object lacks is left out. Pure.
std::string status_text(const json::object& status);

// Its table of devices alone; and one device, a line for each thing that is known of it. Pure.
std::string devices_text(const json::object& status);
std::string device_text(const json::object& device);

// The head of the status and the devices with the most to do first: by messages a second since `before`, an earlier
// status
// (`seconds` ago; 0: there is none), then by what waits. As many as a screen shows. Pure.
std::string top_text(const json::object& status, const json::object& before, double seconds);

}  // namespace trunkline::cli
