// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

namespace trunkline::config {
namespace {

std::vector<SourceFile> examples() {
  std::vector<SourceFile> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(TRUNKLINE_SOURCE_DIR) + "/config/devices.d.example")) {
    files.push_back(
        {entry.path().string(), read_source("config/devices.d.example/" + entry.path().filename().string())});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

// Member names of each struct in settings.h: "  type name…;" within "struct Name {".
std::map<std::string, std::set<std::string>> members_of_settings() {
  std::map<std::string, std::set<std::string>> out;
  std::istringstream in(read_source("config/settings.h"));
  std::string line, name;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (line.rfind("struct ", 0) == 0) {
      name = second;
    } else if (line == "};") {
      name.clear();
    } else if (!name.empty() && line.rfind("  ", 0) == 0 && line.find(';') != std::string::npos && first != "//") {
      out[name].insert(second.substr(0, second.find_first_of("{;")));
    }
  }
  return out;
}

// Keys of each table in TOML text that has one key a line.
std::map<std::string, std::set<std::string>> keys_of(const std::string& text) {
  std::map<std::string, std::set<std::string>> out;
  std::istringstream in(text);
  std::string line, table;
  while (std::getline(in, line)) {
    if (!line.empty() && line[0] == '[') table = line.substr(1, line.find(']') - 1);
    const auto equals = line.find(" = ");
    if (!line.empty() && line[0] >= 'a' && line[0] <= 'z' && equals != std::string::npos) {
      out[table].insert(line.substr(0, equals));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("the reference file loads as shipped", "[config]") {
  const auto loaded = load_texts({"trunkline.toml", read_source("config/trunkline.toml")}, {});
  CHECK(loaded.problems.empty());
  CHECK(loaded.settings.mqtt.empty());
  CHECK(!loaded.settings.coap);
}

TEST_CASE("the reference file loads with every option switched on, and the example devices with it", "[config]") {
  const auto files = examples();
  REQUIRE(files.size() == 4);
  const auto loaded = load_texts({"trunkline.toml", with_every_option(read_source("config/trunkline.toml"))}, files);
  for (const auto& problem : loaded.problems) FAIL_CHECK(problem.text());
  for (const auto& warning : loaded.warnings) FAIL_CHECK(warning.text());
  const auto& devices = loaded.settings.devices;
  CHECK(std::any_of(devices.begin(), devices.end(), [](const auto& d) { return d.mqtt.has_value(); }));
  CHECK(std::any_of(devices.begin(), devices.end(), [](const auto& d) { return d.coap.has_value(); }));
  CHECK(std::any_of(devices.begin(), devices.end(), [](const auto& d) { return d.tcp.has_value(); }));
}

TEST_CASE("the defaults that the reference states are the defaults", "[config]") {
  const auto stated =
      load_texts({"trunkline.toml", with_every_option(read_source("config/trunkline.toml"))}, {}).settings;
  const Settings real;
  CHECK(stated.hub.token_lifetime == real.hub.token_lifetime);
  CHECK(stated.hub.attach_rate == real.hub.attach_rate);
  CHECK(stated.hub.attach == real.hub.attach);
  CHECK(stated.hub.send_rate == real.hub.send_rate);
  CHECK(stated.hub.max_devices_per_connection == real.hub.max_devices_per_connection);
  CHECK(stated.hub.report_every == real.hub.report_every);
  CHECK(stated.hub.report_state == real.hub.report_state);
  CHECK(stated.identity.store == real.identity.store);
  CHECK(stated.spool.directory == real.spool.directory);
  CHECK(stated.spool.durability == real.spool.durability);
  CHECK(stated.spool.max_bytes == real.spool.max_bytes);
  CHECK(stated.spool.max_messages == real.spool.max_messages);
  CHECK(stated.spool.max_age == real.spool.max_age);
  CHECK(stated.spool.device_share == real.spool.device_share);
  CHECK(stated.spool.commit_delay == real.spool.commit_delay);
  CHECK(stated.spool.ledger_flush == real.spool.ledger_flush);
  CHECK(stated.status.listen == real.status.listen);
  CHECK(stated.status.control == real.status.control);
  REQUIRE(stated.mqtt.size() == 1);
  CHECK(stated.mqtt[0].name == Mqtt().name);
  CHECK(stated.mqtt[0].client_id == Mqtt().client_id);
  CHECK(stated.mqtt[0].version == Mqtt().version);
  CHECK(stated.mqtt[0].keep_alive == Mqtt().keep_alive);
  CHECK(stated.mqtt[0].verify_certificate == Mqtt().verify_certificate);
  CHECK(stated.mqtt[0].verify_host == Mqtt().verify_host);
  REQUIRE(stated.coap);
  CHECK(stated.coap->command_wait == Coap().command_wait);
  CHECK(stated.coap->session_timeout == Coap().session_timeout);
  CHECK(stated.coap->max_body == Coap().max_body);
  CHECK(stated.coap->max_sessions == Coap().max_sessions);
  CHECK(stated.coap->max_handshakes == Coap().max_handshakes);
  CHECK(stated.coap->peer_rate == Coap().peer_rate);
  CHECK(stated.log_level == real.log_level);
}

TEST_CASE("every option of settings.h is in the reference and in the table of options", "[config]") {
  auto members = members_of_settings();
  members["Mqtt"].erase("place");
  members["Mqtt"].erase("tls");  // said by the scheme of broker
  const auto keys = keys_of(with_every_option(read_source("config/trunkline.toml")));
  const auto readme = read_source("config/README.md");
  for (const auto& [name, table] : std::map<std::string, std::string>{{"Hub", "hub"},
                                                                      {"Identity", "identity"},
                                                                      {"Spool", "spool"},
                                                                      {"Status", "status"},
                                                                      {"Mqtt", "mqtt"},
                                                                      {"Coap", "coap"}}) {
    INFO(table);
    REQUIRE(!members[name].empty());
    CHECK(keys.at(table) == members[name]);
    for (const auto& key : keys.at(table)) {
      INFO(key);
      CHECK(readme.find("`" + table + "." + key + "`") != std::string::npos);
    }
  }
  CHECK(members["Settings"].count("tcp_durability") == 1);
  CHECK(keys.at("tcp") == std::set<std::string>{"durability"});
  CHECK(members["Settings"].count("log_level") == 1);
  CHECK(keys.at("log") == std::set<std::string>{"level"});
}

}  // namespace trunkline::config
