// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/mapping/device_map.h"
#include "gateway/mapping/template.h"

namespace trunkline {

// One rule for many devices. Its members are the identities of the store whose id matches `id`
// (gateway/decisions/0009-families-are-expanded-over-identities.md). An immutable value made by config.
struct DeviceFamily {
  std::string id;                            // template over captures, such as "plug-{topic}"
  DeviceMap prototype;                       // its addresses may hold captures; its own id stands for nothing
  std::map<std::string, DeviceId> lookup{};  // what the template's one capture (or all of it) is -> the id instead
  std::string key_pointer{};  // where the payload says {value}, for devices that share a topic and are trusted (I-02)
};

// A captured text as part of a device id: what an id cannot hold is written as %XX, and so is "%". Invertible.
std::string escape_for_id(std::string_view text);
std::optional<std::string> unescape_from_id(std::string_view text);

// The family's member of that id; not_found if the id is no member, invalid if its captures cannot stand in a topic.
Result<DeviceMap> make_member(const DeviceFamily& family, const DeviceId& id);

struct Expansion {
  std::vector<DeviceMap> devices;  // those that were mapped singly first, then the members
  struct Note {
    SourcePlace place;
    std::string message;
  };
  std::vector<Note> problems;
  std::vector<Note> warnings;
};
// Adds every identity that a family takes in. A single map goes before a family, an earlier family before a later one.
Expansion expand_families(std::vector<DeviceMap> devices, const std::vector<DeviceFamily>& families,
                          const std::vector<DeviceId>& identities);

}  // namespace trunkline
