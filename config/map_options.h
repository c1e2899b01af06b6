// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trunkline::config {

// Options of a device map that are told together: the reference and the manual page are made from it, and a test holds
// it to what the loader takes. Texts are Markdown of one line.
struct MapOption {
  std::vector<std::string_view> names;  // "mqtt.telemetry"
  std::string_view unset;               // what holds when it is not said
  std::string_view meaning;
};

// In the order of the reference.
std::span<const MapOption> map_options();

// As the table of config/README.md.
std::string map_options_markdown();

}  // namespace trunkline::config
