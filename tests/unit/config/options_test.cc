// SPDX-License-Identifier: Apache-2.0
#include "config/options.h"

#include "config/map_options.h"

#include <regex>
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
  CHECK(read_source("config/README.md").find(map_options_markdown()) != std::string::npos);
  const auto manual = options_manual();
  for (const auto& option : options())
    CHECK(manual.find(".It Ic " + std::string(option.name) + "\n") != std::string::npos);
}

namespace {

// A map that has one key, wrongly named or wrongly filled, on its third line.
std::string map_with(std::string_view name, const std::string& line) {
  // Some are for dialling only.
  const bool dials = name == "tcp.release" || name == "tcp.retry" || name == "tcp.bind" || name == "tcp.connect";
  const std::string protocol = name.starts_with("coap.")  ? "coap.telemetry = \"/t\"\n"
                               : dials                    ? "tcp.connect = \"10.0.0.9:4001\"\n"
                               : name.starts_with("tcp.") ? "tcp.listen = \"127.0.0.1:4001\"\n"
                                                          : "mqtt.telemetry = \"a/b\"\n";
  return "[[device]]\nid = \"scale-2\"\n" + line + "\n" + (name == protocol.substr(0, name.size()) ? "" : protocol);
}

std::string problems_at(std::string_view name, const std::string& line) {
  const std::string main =
      "[hub]\nhost = \"h.example.net\"\n[mqtt]\nbroker = \"mqtt://127.0.0.1:1883\"\n[coap]\nlisten = "
      "\"127.0.0.1:5683\"\nlisten_dtls = \"127.0.0.1:5684\"\n";
  std::string out;
  for (const auto& problem : load_texts({"t.toml", main}, {{"m.toml", map_with(name, line)}}).problems) {
    if (problem.place.line == 3 || name == "id") out += problem.message + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("every documented key of a device map is known: misspelt it is recognised, mistyped it is refused",
          "[config]") {
  for (const auto& option : map_options()) {
    for (const auto name : option.names) {
      INFO(name);
      const std::string key(name);
      const auto last = key.substr(key.rfind('.') + 1);
      // "id" is too short for a guess.
      if (last.size() > 3) {
        CHECK(problems_at(name, key + "x = 1").find("did you mean \"" + last + "\"?") != std::string::npos);
      }
      if (key == "id") continue;
      const auto mistyped = problems_at(name, key + " = 1979-05-27");
      CHECK_FALSE(mistyped.empty());
      CHECK(mistyped.find("unknown key") == std::string::npos);
    }
  }
}

TEST_CASE("every key that the loader asks a device map for is documented", "[config]") {
  const auto reference = read_source("config/README.md");
  const std::regex asked(
      R"re((?:reader|table|\w+)\.(?:text|texts|choice|flag|number|integer|duration|size|table|find|required_text|path|percent)\("(\w+)")re");
  std::size_t keys = 0;
  for (const auto* file : {"config/device_file.cc", "config/device_protocols.cc", "config/mqtt_map.cc",
                           "config/tcp_map.cc", "config/payload_map.cc", "config/decode_map.cc"}) {
    const auto source = read_source(file);
    for (auto found = std::sregex_iterator(source.begin(), source.end(), asked); found != std::sregex_iterator();
         ++found) {
      ++keys;
      INFO(file << ": " << (*found)[1]);
      CHECK(std::regex_search(reference, std::regex("\\b" + (*found)[1].str() + "\\b")));
    }
  }
  CHECK(keys > 60);
}

}  // namespace trunkline::config
