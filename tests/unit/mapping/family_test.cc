// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/family.h"
#include "gateway/mapping/topic_pattern.h"

#include "tests/support/catch.h"

namespace trunkline {
namespace {

DeviceId id(std::string_view text) {
  return DeviceId::parse(text).value();
}

DeviceFamily family(std::string rule, std::string telemetry) {
  DeviceFamily out{std::move(rule), DeviceMap{id("stand-in")}};
  out.prototype.mqtt = MqttMap{"default", std::move(telemetry), {}, {}};
  return out;
}

}  // namespace

TEST_CASE("a family's members are the identities that its id fits", "[mapping][I-02]") {
  auto plugs = family("plug-{topic}", "tele/{topic}/SENSOR");
  plugs.prototype.mqtt->command = "cmnd/{topic}/{command}";
  plugs.prototype.mqtt->presence = MqttPresence{"tele/{topic}/LWT", "Online", "Offline"};
  const auto out = expand_families({DeviceMap{id("plug-single")}}, {plugs, family("{any}", "all/{any}")},
                                   {id("plug-a"), id("boiler"), id("plug-single"), id("plug-")});
  REQUIRE(out.devices.size() == 4);
  CHECK(out.devices[0].id == id("plug-single"));
  CHECK_FALSE(out.devices[0].mqtt);
  CHECK(out.devices[1].id == id("plug-a"));
  CHECK(out.devices[1].mqtt->telemetry == "tele/a/SENSOR");
  CHECK(out.devices[1].mqtt->command == "cmnd/a/{command}");
  CHECK(out.devices[1].mqtt->presence->topic == "tele/a/LWT");
  CHECK(out.devices[1].captures == Captures{{"topic", "a"}, {"device", "plug-a"}});
  CHECK(out.devices[2].mqtt->telemetry == "all/boiler");
  CHECK(out.devices[3].mqtt->telemetry == "all/plug-");
}

TEST_CASE("names that an id cannot hold are encoded one way only", "[mapping]") {
  CHECK(escape_for_id("kitchen/big lamp%") == "kitchen%2Fbig%20lamp%25");
  CHECK(unescape_from_id("kitchen%2Fbig%20lamp%25") == "kitchen/big lamp%");
  CHECK_FALSE(unescape_from_id("kitchen%2f"));
  CHECK_FALSE(unescape_from_id("%41"));
  CHECK_FALSE(unescape_from_id("%4"));
  const auto lamp = make_member(family("z-{name}", "zigbee2mqtt/{name+}"), id("z-kitchen%2Flamp"));
  REQUIRE(lamp);
  CHECK(lamp->mqtt->telemetry == "zigbee2mqtt/kitchen/lamp");
}

TEST_CASE("a table names members instead, so that a rename makes no new device", "[mapping]") {
  auto lamps = family("{name}", "zigbee2mqtt/{name+}");
  lamps.lookup.emplace("kitchen/lamp", id("0x00158d01"));
  REQUIRE(make_member(lamps, id("0x00158d01")));
  CHECK(make_member(lamps, id("0x00158d01"))->mqtt->telemetry == "zigbee2mqtt/kitchen/lamp");
}

TEST_CASE("an id that would become a wildcard is no member", "[mapping][I-02]") {
  const auto out = expand_families({}, {family("x-{name}", "t/{name}")}, {id("x-#"), id("x-+")});
  CHECK(out.devices.empty());
  CHECK(out.warnings.size() == 3);
}

TEST_CASE("devices that share a topic are told apart by the payload where the map says so", "[mapping][I-02]") {
  auto lora = family("lora-{value}", "lora/up");
  lora.key_pointer = "/devEUI";
  const auto member = make_member(lora, id("lora-A1"));
  REQUIRE(member);
  CHECK(member->mqtt->key->pointer == "/devEUI");
  CHECK(member->mqtt->key->value == "A1");
}

TEST_CASE("a field within a level is filled for each member", "[mapping]") {
  const std::vector<std::string> later{"name"};
  const auto pattern = TopicPattern::parse("s/temp-{name}/v", {}, later);
  REQUIRE(pattern);
  CHECK(pattern->filter() == "s/+/v");
  CHECK(pattern->text() == "s/temp-{name}/v");
  CHECK(make_member(family("t-{name}", "s/temp-{name}/v"), id("t-1"))->mqtt->telemetry == "s/temp-1/v");
}

}  // namespace trunkline
