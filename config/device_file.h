// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/address.h"
#include "config/document.h"
#include "config/main_file.h"
#include "config/table_reader.h"
#include "gateway/mapping/family.h"
#include "gateway/mapping/topic_pattern.h"

namespace trunkline::config {

// Something that only one device may have: an id, a topic of a broker, a CoAP path, a listener.
struct Claim {
  std::string key;     // equal keys collide
  std::string what;    // "the MQTT topic \"a/b\""
  std::string advice;  // what to do on a collision
  SourcePlace place;
};

// An MQTT topic that a map uses, for the check of overlaps.
struct UsedTopic {
  std::string broker;
  TopicPattern pattern;
  SourcePlace place;
};

// A message that a map's author recorded, and what shall become of it.
struct Sample {
  Mark mark;
  std::string topic;
  std::string in;
  std::optional<std::string> out;      // nothing: it is not sent up
  std::optional<std::string> bytes{};  // of a TCP stream, instead of topic and in
  std::vector<std::string> messages{};
};

// A device map as far as it could be read, with what the checks across devices need.
struct DeviceDraft {
  DeviceMap map;
  bool named = false;  // the id is valid; else a stand-in
  std::vector<Claim> claims;
  std::optional<ListenAddress> listener;
  SourcePlace listener_place;
  std::vector<UsedTopic> topics;
  // Of a family only; its map is the prototype.
  bool family = false;
  std::string id_rule;             // the template of its members' ids
  std::vector<std::string> later;  // the names in it
  std::map<std::string, DeviceId> lookup;
  std::string key_pointer;
  std::vector<Sample> samples;
  std::vector<NamedFile> files{};
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
void check_devices(const std::vector<DeviceDraft>& drafts, References main, std::vector<Problem>& problems,
                   std::vector<Problem>& warnings);

// Devices that share a listener or a dialled line: what is theirs together must be equal.
void check_tcp_lines(const std::vector<DeviceDraft>& drafts, std::vector<Problem>& problems,
                     std::vector<Problem>& warnings);

// `map = { … }`: how its payloads become what goes up.
std::shared_ptr<const PayloadMap> read_payload_map(TableReader& device);
// `format` and `assume_utc` of a table that says where a device's time is.
DeviceTime read_time_rule(TableReader& time);

// `map.decode = { … }`: how bytes become values.
std::shared_ptr<const Decode> read_decode(TableReader& map);

// `samples = [ … ]`, and a run of them through the finished map.
std::vector<Sample> read_samples(TableReader& device);
void run_samples(DeviceDraft& draft, Findings& findings);

// The table of a family with what its preset says where it says nothing; null after a problem. The tables live as long
// as `kept`.
const Table* with_preset(const Table& family, Findings& findings, std::vector<std::unique_ptr<Table>>& kept);

}  // namespace trunkline::config
