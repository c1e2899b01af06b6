// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/mapping/device_map.h"

namespace trunkline::tcp {

// A sample that does not come out as its author said.
struct SampleFault {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string message;
};

// Sends the samples of a map through its framing, its heartbeats and its payload map, each as a stream of its own.
// Pure.
std::vector<SampleFault> run_samples(const DeviceMap& map);

}  // namespace trunkline::tcp
