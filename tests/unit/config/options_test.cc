// SPDX-License-Identifier: Apache-2.0
#include "config/options.h"

#include <set>

#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

namespace trunkline::config {
namespace {

std::string everything_on() {
  return with_every_option(read_source("config/trunkline.toml"));
}

// The least that a table needs beside the option under test.
std::string around(const Option& option, const std::string& value) {
  std::string out = "[hub]\n";
  if (option.full_name() != "hub.host") out += "host = \"hub.example\"\n";
  if (option.table != "hub") out += "[" + std::string(option.table) + "]\n";
  if (option.table == "mqtt" && option.name != "broker") out += "broker = \"mqtt://127.0.0.1:1883\"\n";
  if (option.table == "coap" && option.name != "listen") out += "listen = \"127.0.0.1:5683\"\n";
  return out + std::string(option.name) + " = " + value + "\n";
}

std::size_t problems_with(const Option& option, const std::string& value) {
  return load_texts({"trunkline.toml", around(option, value)}, {}).problems.size();
}

}  // namespace

TEST_CASE("what the table of options prints loads again to the same", "[config]") {
  const auto first = load_texts({"trunkline.toml", everything_on()}, {});
  REQUIRE(first.problems.empty());
  const auto printed = print_settings(first.settings);
  const auto second = load_texts({"trunkline.toml", printed}, {});
  for (const auto& problem : second.problems) FAIL_CHECK(problem.text());
  CHECK(print_settings(second.settings) == printed);
  // Every option of the reference has come through.
  for (const auto& option : options()) {
    INFO(option.full_name());
    CHECK(!option.value(second.settings, 0).empty());
  }
}

TEST_CASE("the defaults of the table of options are those of the settings and of the reference", "[config]") {
  const auto minimal = load_texts({"trunkline.toml", "[hub]\nhost = \"hub.example\"\n"}, {});
  const auto stated = load_texts({"trunkline.toml", everything_on()}, {});
  for (const auto& option : options()) {
    INFO(option.full_name());
    if (option.unset.empty()) {
      CHECK(option.value(minimal.settings, 0) == option.default_text());
      CHECK(option.value(stated.settings, 0) == option.default_text());
    } else if (option.full_name() != "hub.host") {
      CHECK(option.value(minimal.settings, 0).empty());
    }
  }
}

TEST_CASE("every range of the table of options holds at both of its ends", "[config]") {
  for (const auto& option : options()) {
    INFO(option.full_name());
    using Kind = Option::Kind;
    const auto in_unit = [&](std::int64_t value) {
      switch (option.kind) {
        case Kind::duration:
          return "\"" + std::to_string(value) + "ms\"";
        case Kind::size:
          return "\"" + std::to_string(value) + "B\"";
        case Kind::rate:
          return "\"" + std::to_string(value) + "/s\"";
        case Kind::percent:
          return "\"" + std::to_string(value) + "%\"";
        default:
          return std::to_string(value);
      }
    };
    if (option.kind == Kind::rate) {
      CHECK(problems_with(option, in_unit(option.high)) == 0);
      CHECK(problems_with(option, in_unit(option.high + 1)) == 1);
      CHECK(problems_with(option, "\"off\"") == 0);
    } else if (option.high > 0) {
      CHECK(problems_with(option, in_unit(option.low)) == 0);
      CHECK(problems_with(option, in_unit(option.high)) == 0);
      if (option.low > 0) CHECK(problems_with(option, in_unit(option.low - 1)) == 1);
      CHECK(problems_with(option, in_unit(option.high + 1)) == 1);
    }
    for (const auto choice : option.choices) CHECK(problems_with(option, "\"" + std::string(choice) + "\"") == 0);
    if (!option.choices.empty()) CHECK(problems_with(option, "\"neither\"") == 1);
  }
}

TEST_CASE("the table of options, the reference and the README name the same options", "[config]") {
  std::set<std::string> known;
  for (const auto& option : options()) {
    CHECK(known.insert(option.full_name()).second);
    CHECK(!option.meaning.empty());
  }
  std::set<std::string> written;
  std::istringstream in(everything_on());
  std::string line, table;
  while (std::getline(in, line)) {
    if (!line.empty() && line[0] == '[') table = line.substr(1, line.find(']') - 1);
    const auto equals = line.find(" = ");
    if (!line.empty() && line[0] >= 'a' && line[0] <= 'z' && equals != std::string::npos) {
      written.insert(table + "." + line.substr(0, equals));
    }
  }
  CHECK(written == known);
  // "trunkline config options" makes the table of the README.
  CHECK(read_source("config/README.md").find(options_markdown()) != std::string::npos);
  const auto manual = options_manual();
  for (const auto& option : options())
    CHECK(manual.find(".It Ic " + std::string(option.name) + "\n") != std::string::npos);
}

}  // namespace trunkline::config
