// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/address.h"
#include "config/document.h"
#include "config/table_reader.h"

namespace trunkline::config {

// A file that an option names, to be looked at when the configuration is loaded from disk.
struct NamedFile {
  std::string option;
  std::string path;
  SourcePlace place;
  bool secret = false;  // refused if group or others may read it
};

// trunkline.toml once read, with what the later checks need to know.
struct MainFile {
  Settings settings;
  bool paths_usable = false;  // [identity] and [status] have no problem
  std::optional<ListenAddress> status_listen;
  SourcePlace status_place;
  bool mqtt_written = false;  // there is an mqtt table, though it may be wrong
  std::vector<NamedFile> files;
};

MainFile read_main_file(const Document& document, Findings& findings);

// [mqtt] or [[mqtt]], [coap] and [tcp].
void read_mqtt(TableReader& root, MainFile& main);
void read_coap(TableReader& root, MainFile& main);
void read_tcp(TableReader& root, MainFile& main);
std::optional<Durability> read_durability(TableReader& reader);

// What max_age may be, for the gateway and for a device.
inline constexpr Milliseconds kShortestAge{1000};
inline constexpr Milliseconds kLongestAge{3650LL * 24 * 3'600'000};

}  // namespace trunkline::config
