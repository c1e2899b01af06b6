// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <sstream>

#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

// Every key that we ship, misspelt and mistyped one at a time: always refused, at its own line.

namespace trunkline::config {
namespace {

struct KeyLine {
  std::size_t number = 0;  // from 1
  std::string key, value;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::vector<KeyLine> keys_of(const std::vector<std::string>& lines) {
  std::vector<KeyLine> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto equals = lines[i].find(" = ");
    if (lines[i].empty() || std::islower(static_cast<unsigned char>(lines[i][0])) == 0 || equals == std::string::npos)
      continue;
    out.push_back({i + 1, lines[i].substr(0, equals), lines[i].substr(equals + 3)});
  }
  return out;
}

std::string joined(std::vector<std::string> lines, std::size_t number, const std::string& line) {
  lines[number - 1] = line;
  std::string out;
  for (const auto& one : lines) out += one + "\n";
  return out;
}

template <class Load>
void mutate(const std::string& file, const std::string& text, Load load) {
  const auto lines = lines_of(text);
  for (const auto& key : keys_of(lines)) {
    // A value that goes on below is one value; its first line alone cannot be replaced.
    if (std::count(key.value.begin(), key.value.end(), '[') != std::count(key.value.begin(), key.value.end(), ']') ||
        std::count(key.value.begin(), key.value.end(), '{') != std::count(key.value.begin(), key.value.end(), '}')) {
      continue;
    }
    for (const auto& line :
         {key.key + "x = " + key.value, key.key + " = 1979-05-27", key.key + " = { wrong = 1 }", key.key + " = [[]]"}) {
      INFO(file << ':' << key.number << ": " << line);
      const auto loaded = load(joined(lines, key.number, line));
      CHECK(std::any_of(loaded.problems.begin(), loaded.problems.end(), [&](const Problem& problem) {
        return problem.place.file == file && problem.place.line == key.number;
      }));
    }
  }
}

}  // namespace

TEST_CASE("every key of trunkline.toml, misspelt or mistyped, is refused at its line", "[config]") {
  mutate("trunkline.toml", with_every_option(read_source("config/trunkline.toml")), [](const std::string& text) {
    return load_texts({"trunkline.toml", text}, {});
  });
}

TEST_CASE("every key of the example device maps, misspelt or mistyped, is refused at its line", "[config]") {
  const auto main = with_every_option(read_source("config/trunkline.toml"));
  std::size_t files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(TRUNKLINE_SOURCE_DIR) + "/config/devices.d.example")) {
    ++files;
    const auto name = "config/devices.d.example/" + entry.path().filename().string();
    mutate(name, read_source(name), [&](const std::string& text) {
      return load_texts({"trunkline.toml", main}, {{name, text}});
    });
  }
  CHECK(files >= 4);
}

}  // namespace trunkline::config
