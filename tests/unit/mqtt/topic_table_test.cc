// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/topic_table.h"

#include "tests/support/catch.h"

using namespace trunkline;
using mqtt::TopicRole;
using mqtt::TopicTable;

namespace {

DeviceMap device(const std::string& id, const std::string& telemetry, std::optional<std::string> command = {},
                 std::optional<std::string> reply = {}) {
  DeviceMap map{DeviceId::parse(id).value()};
  map.mqtt = MqttMap{"default", telemetry, std::move(command), std::move(reply)};
  return map;
}

std::vector<std::string> filters(const TopicTable& table) {
  std::vector<std::string> out;
  for (const auto& one : table.subscriptions()) out.push_back(one.filter + (one.state ? " (state)" : ""));
  return out;
}

bool refused(const std::vector<DeviceMap>& devices, const std::string& part) {
  const auto table = TopicTable::make(devices);
  return !table && table.error().code == ErrorCode::invalid && table.error().message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a topic names its device and its role", "[I-02]") {
  const auto table = TopicTable::make({device("a", "a/state", "a/cmd", "a/done"), device("b", "b/state")});
  REQUIRE(table);
  CHECK(filters(*table) == std::vector<std::string>{"a/state", "a/done", "b/state"});
  REQUIRE(table->find("a/state"));
  CHECK(table->find("a/state")->device == 0);
  CHECK(table->find("a/state")->role == TopicRole::telemetry);
  REQUIRE(table->find("a/done"));
  CHECK(table->find("a/done")->role == TopicRole::reply);
  REQUIRE(table->find("b/state"));
  CHECK(table->find("b/state")->device == 1);
  // Our own commands, if a filter of ours brings them back, mean nothing.
  REQUIRE(table->find("a/cmd"));
  CHECK(table->find("a/cmd")->role == TopicRole::ignored);
  CHECK(!table->find("A/state"));
  CHECK(!table->find(""));
}

TEST_CASE("two speakers on one topic are refused", "[I-02]") {
  CHECK(refused({device("a", "t"), device("b", "t")}, "device b"));
  CHECK(refused({device("a", "t", {}, "t")}, "used twice"));
  CHECK(refused({device("a", "t"), device("b", "u", {}, "t")}, "device b"));
}

TEST_CASE("a command topic that we listen to is refused") {
  CHECK(refused({device("a", "t", "t")}, "come back"));
  CHECK(refused({device("a", "t", "b/done"), device("b", "u", "b/cmd", "b/done")}, "device a"));
}

TEST_CASE("topics that MQTT cannot carry or that are no single topic are refused") {
  CHECK(refused({device("a", "")}, "empty"));
  CHECK(refused({device("a", "plant/#/state")}, "not at its end"));
  CHECK(refused({device("a", "t", "cmd/#")}, "wildcard"));
  CHECK(refused({device("a", std::string("t\0x", 3))}, "U+0000"));
  CHECK(refused({device("a", "t\xff")}, "UTF-8"));
  CHECK(refused({device("a", std::string(65'536, 'x'))}, "longer"));
  CHECK(TopicTable::make({device("a", std::string(65'535, 'x'))}));
}

namespace {

DeviceMap zigbee(const std::string& name) {
  auto map = device("z-" + name.substr(0, name.find('/')), "zigbee2mqtt/" + name, "zigbee2mqtt/" + name + "/set");
  map.mqtt->presence = MqttPresence{"zigbee2mqtt/" + name + "/availability"};
  map.mqtt->bridge = MqttPresence{"zigbee2mqtt/bridge/state"};
  map.mqtt->ignore = {"zigbee2mqtt/{any+}/set", "zigbee2mqtt/bridge/#"};
  map.mqtt->filters = {"zigbee2mqtt/#"};
  map.mqtt->state_filters = {"zigbee2mqtt/#", "zigbee2mqtt/bridge/state"};
  return map;
}

}  // namespace

TEST_CASE("a family's members stand behind one filter, with their wills and their bridge", "[C-02]") {
  const auto table = TopicTable::make({zigbee("kitchen/lamp"), zigbee("hall")});
  REQUIRE(table);
  CHECK(filters(*table) == std::vector<std::string>{"zigbee2mqtt/#", "zigbee2mqtt/bridge/state (state)"});
  CHECK(table->find("zigbee2mqtt/hall")->device == 1);
  CHECK(table->find("zigbee2mqtt/kitchen/lamp/availability")->role == TopicRole::presence);
  CHECK(table->find("zigbee2mqtt/kitchen/lamp/set")->role == TopicRole::ignored);
  CHECK(table->find("zigbee2mqtt/bridge/devices")->role == TopicRole::ignored);
  CHECK(table->find("zigbee2mqtt/bridge/state")->behind == std::vector<std::size_t>{0, 1});
  CHECK_FALSE(table->find("zigbee2mqtt/unknown"));
}

TEST_CASE("devices that share a topic are told apart by the payload", "[I-02]") {
  auto a = device("a", "lora/up"), b = device("b", "lora/up");
  a.mqtt->key = PayloadKey{"/dev", "A1"};
  b.mqtt->key = PayloadKey{"/dev", "17"};
  const auto table = TopicTable::make({a, b});
  REQUIRE(table);
  CHECK(table->find("lora/up", R"({"dev":"A1"})")->device == 0);
  CHECK(table->find("lora/up", R"({"dev":17})")->device == 1);
  CHECK_FALSE(table->find("lora/up", R"({"dev":"A2"})"));
  CHECK_FALSE(table->find("lora/up", "no JSON"));
  b.mqtt->key->value = "A1";
  CHECK_FALSE(TopicTable::make({a, b}));
}

TEST_CASE("captures beyond the device are handed on, and a command's must not come back", "[I-02]") {
  const auto table = TopicTable::make({device("s", "shellies/s/{what+}", "cmd/s/{what}")});
  REQUIRE(table);
  CHECK(table->find("shellies/s/relay/0")->captures == Captures{{"what", "relay/0"}});
  CHECK(refused({device("s", "shellies/s/{what+}", "shellies/s/{what+}/command")}, "come back"));
}
