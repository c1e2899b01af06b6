// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "gateway/base/json.h"

namespace trunkline::app {

// The difference between what holds and what a configuration wants. Pure values.
struct ConfigChange {
  struct Text {
    std::string name;    // "mqtt.telemetry"
    std::string before;  // as TOML; empty: not set
    std::string after;
  };
  struct Device {
    DeviceMap before;
    DeviceMap after;
    std::vector<Text> options;
    bool adapter = false;  // its adapter has to know, not only the limits, ranks and payload maps
  };
  struct Option {
    Text text;
    bool reloadable = false;
  };

  std::vector<DeviceMap> added;
  std::vector<DeviceMap> removed;
  std::vector<Device> changed;
  std::vector<Option> options;       // of trunkline.toml, of tables that both have
  std::vector<std::string> brokers;  // [[mqtt]] tables that are new
  bool coap = false;                 // [coap] is new

  [[nodiscard]] bool empty() const {
    return added.empty() && removed.empty() && changed.empty() && options.empty() && brokers.empty() && !coap;
  }
};

// `devices` of both are expanded over the identities.
ConfigChange compare(const config::Settings& before, const config::Settings& after);

// What holds once the change was taken over: what needs a restart stays as it is.
config::Settings merged(const config::Settings& before, config::Settings after);

// {"added":[id],"removed":[id],"changed":[{"id","options":[{"name","before","after"}]}],
//  "options":[{"name","before","after","needs":"reload"|"restart"}],"tables":[name]}. Not for the log: it holds values.
json::object to_json(const ConfigChange& change);

}  // namespace trunkline::app
