// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/address.h"
#include "config/document.h"
#include "config/main_file.h"
#include "config/table_reader.h"

namespace trunkline::config {

// Something that only one device may have: an id, a topic of a broker, a CoAP path, a listener.
struct Claim {
  std::string key;     // equal keys collide
  std::string what;    // "the MQTT topic \"a/b\""
  std::string advice;  // what to do on a collision
  SourcePlace place;
};

// A device map as far as it could be read, with what the checks across devices need.
struct DeviceDraft {
  DeviceMap map;
  bool named = false;  // the id is valid; else a stand-in
  std::vector<Claim> claims;
  std::optional<ListenAddress> listener;
  SourcePlace listener_place;
};

// What trunkline.toml says that device maps refer to; nothing if that file could not be read, so that one syntax error
// does not become a hundred dangling references.
using References = const MainFile*;

void read_device_file(const Document& document, References main, Findings& findings, std::vector<DeviceDraft>& drafts);

// The three protocol tables of a device map.
void read_mqtt_map(const Entry& entry, const TableReader& device, References main, Findings& findings,
                   DeviceDraft& draft);
void read_coap_map(const Entry& entry, const TableReader& device, References main, Findings& findings,
                   DeviceDraft& draft);
void read_tcp_map(const Entry& entry, const TableReader& device, Findings& findings, DeviceDraft& draft);

// Problems that show only when all devices are known.
void check_devices(const std::vector<DeviceDraft>& drafts, References main, std::vector<Problem>& problems);

}  // namespace trunkline::config
