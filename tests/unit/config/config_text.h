// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "config/loader.h"

namespace trunkline::config {

// Loads texts as /c/trunkline.toml and /c/devices.d/<n>.toml.
inline Loaded load_strings(const std::string& main, const std::vector<std::string>& maps = {}) {
  std::vector<SourceFile> files;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    files.push_back({"/c/devices.d/" + std::to_string(i) + ".toml", maps[i]});
  }
  return load_texts({"/c/trunkline.toml", main}, files);
}

// One line per problem, without the folder.
inline std::string report(const std::vector<Problem>& problems) {
  std::string out;
  for (const auto& problem : problems) out += problem.text().substr(3) + "\n";
  return out;
}

inline std::string read_source(const std::string& name) {
  std::ifstream in(std::string(TRUNKLINE_SOURCE_DIR) + "/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The reference with its commented options switched on: "#key = …" and "#[table]".
inline std::string with_every_option(const std::string& text) {
  std::istringstream in(text);
  std::string out, line;
  while (std::getline(in, line)) {
    const bool option = line.size() > 1 && line[0] == '#' && (line[1] == '[' || (line[1] >= 'a' && line[1] <= 'z'));
    out += (option ? line.substr(1) : line) + "\n";
  }
  return out;
}

inline const std::string kHub = "[hub]\nhost = \"h.example.net\"\n";

}  // namespace trunkline::config
