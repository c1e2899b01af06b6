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

bool refused(const std::vector<DeviceMap>& devices, const std::string& part) {
  const auto table = TopicTable::make(devices);
  return !table && table.error().code == ErrorCode::invalid && table.error().message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a topic names its device and its role", "[I-02]") {
  const auto table = TopicTable::make({device("a", "a/state", "a/cmd", "a/done"), device("b", "b/state")});
  REQUIRE(table);
  CHECK(table->subscriptions() == std::vector<std::string>{"a/state", "a/done", "b/state"});
  REQUIRE(table->find("a/state"));
  CHECK(table->find("a/state")->device == 0);
  CHECK(table->find("a/state")->role == TopicRole::telemetry);
  REQUIRE(table->find("a/done"));
  CHECK(table->find("a/done")->role == TopicRole::reply);
  REQUIRE(table->find("b/state"));
  CHECK(table->find("b/state")->device == 1);
  CHECK(table->find("a/cmd") == nullptr);
  CHECK(table->find("A/state") == nullptr);
  CHECK(table->find("") == nullptr);
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
  CHECK(refused({device("a", "plant/+/state")}, "wildcard"));
  CHECK(refused({device("a", "plant/#")}, "wildcard"));
  CHECK(refused({device("a", "t", "cmd/#")}, "wildcard"));
  CHECK(refused({device("a", std::string("t\0x", 3))}, "UTF-8"));
  CHECK(refused({device("a", "t\xff")}, "UTF-8"));
  CHECK(refused({device("a", std::string(65'536, 'x'))}, "longer"));
  CHECK(TopicTable::make({device("a", std::string(65'535, 'x'))}));
}
