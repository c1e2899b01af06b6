// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/family.h"
#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

namespace trunkline::config {
namespace {

const std::string kBroker = kHub + "[mqtt]\nbroker = \"mqtt://127.0.0.1\"\n";

// The family with its samples, loaded; problems of the samples are problems of the file.
Loaded family(const std::string& text) {
  auto loaded = load_strings(kBroker, {"[[family]]\n" + text});
  CHECK(report(loaded.problems).empty());
  return loaded;
}

DeviceMap member(const Loaded& loaded, const std::string& id) {
  REQUIRE(loaded.settings.families.size() == 1);
  const auto made = make_member(loaded.settings.families[0], DeviceId::parse(id).value());
  REQUIRE(made);
  return *made;
}

}  // namespace

TEST_CASE("tasmota: sensors go up as they are, commands and wills have their topics", "[preset]") {
  const auto loaded = family(R"(preset = "tasmota"
id = "plug-{topic}"
samples = [
  { topic = "tele/kitchen/SENSOR", in = '{"Time":"2024-05-01T12:00:00","ENERGY":{"Total":1.185,"Power":46,"Voltage":231}}', out = '{"Time":"2024-05-01T12:00:00","ENERGY":{"Total":1.185,"Power":46,"Voltage":231}}' },
  { topic = "tele/kitchen/STATE", in = '{"Time":"2024-05-01T12:00:00","Uptime":"0T00:05:12","POWER":"ON","Wifi":{"RSSI":70}}', out = '{"Time":"2024-05-01T12:00:00","Uptime":"0T00:05:12","POWER":"ON","Wifi":{"RSSI":70}}' },
  { topic = "stat/kitchen/POWER", in = 'ON' },
]
)");
  const auto plug = member(loaded, "plug-kitchen");
  CHECK(plug.mqtt->telemetry == "tele/kitchen/SENSOR");
  CHECK(plug.mqtt->command == "cmnd/kitchen/{command}");
  CHECK(plug.mqtt->command_reply == "stat/kitchen/RESULT");
  CHECK(plug.mqtt->presence->topic == "tele/kitchen/LWT");
  CHECK(plug.mqtt->presence->offline == "Offline");
  CHECK(plug.mqtt->filters == std::vector<std::string>{"tele/+/SENSOR", "tele/+/STATE", "stat/+/RESULT"});
}

TEST_CASE("shelly: deltas are merged, events pass", "[preset]") {
  const auto loaded = family(R"(preset = "shelly"
id = "{topic}"
samples = [
  { topic = "shellyplus1pm-a8032ab/events/rpc", in = '{"src":"shellyplus1pm-a8032ab","dst":"shellyplus1pm-a8032ab/events","method":"NotifyStatus","params":{"ts":1631266595.44,"switch:0":{"id":0,"apower":8.9}}}', out = '{"ts":1631266595.44,"switch:0":{"id":0,"apower":8.9}}' },
  { topic = "shellyplus1pm-a8032ab/events/rpc", in = '{"src":"shellyplus1pm-a8032ab","method":"NotifyEvent","params":{"ts":1.0,"events":[{"component":"input:0","event":"single_push"}]}}', out = '{"src":"shellyplus1pm-a8032ab","method":"NotifyEvent","params":{"ts":1.0,"events":[{"component":"input:0","event":"single_push"}]}}' },
]
)");
  const auto relay = member(loaded, "shellyplus1pm-a8032ab");
  CHECK(relay.mqtt->command == "shellyplus1pm-a8032ab/rpc");
  CHECK(relay.mqtt->command_reply == "trunkline/shellyplus1pm-a8032ab/rpc");
  CHECK(relay.command_done == CommandDone::replied);
}

TEST_CASE("shelly-gen1 and esphome: single values get their names", "[preset]") {
  const auto gen1 = family(R"(preset = "shelly-gen1"
id = "{topic}"
samples = [
  { topic = "shellies/shelly1pm-68C63A/relay/0", in = 'on', out = '{"relay.0":"on"}' },
  { topic = "shellies/shelly1pm-68C63A/relay/0/power", in = '46.70', out = '{"relay.0.power":46.7}' },
  { topic = "shellies/shelly1pm-68C63A/temperature", in = '38.99', out = '{"temperature":38.99}' },
]
)");
  CHECK(member(gen1, "shelly1pm-68C63A").mqtt->command == "shellies/shelly1pm-68C63A/{what+}/command");
  const auto esphome = family(R"(preset = "esphome"
id = "esp-{topic}"
samples = [
  { topic = "livingroom/sensor/temperature/state", in = '21.4', out = '{"temperature":21.4}' },
  { topic = "livingroom/switch/fan/state", in = 'OFF', out = '{"fan":"OFF"}' },
]
)");
  CHECK(member(esphome, "esp-livingroom").mqtt->presence->topic == "livingroom/status");
}

TEST_CASE("zigbee2mqtt: names have slashes, wills and the bridge are no telemetry, the base can be another",
          "[preset]") {
  const auto loaded = family(R"(preset = "zigbee2mqtt"
base = "zb"
id = "z-{name}"
lookup = { "kitchen/lamp" = "0x00158d0001" }
samples = [
  { topic = "zb/hall/motion", in = '{"battery":97,"occupancy":true,"linkquality":65}', out = '{"battery":97,"occupancy":true,"linkquality":65}' },
]
)");
  const auto lamp = member(loaded, "0x00158d0001");
  CHECK(lamp.mqtt->telemetry == "zb/kitchen/lamp");
  CHECK(lamp.mqtt->bridge->topic == "zb/bridge/state");
  CHECK(lamp.mqtt->command == "zb/kitchen/lamp/set");
  CHECK(member(loaded, "z-hall%2Fmotion").mqtt->presence->topic == "zb/hall/motion/availability");
}

TEST_CASE("a family's own keys win over its preset's", "[preset]") {
  const auto loaded = family(R"(preset = "tasmota"
id = "plug-{topic}"
mqtt.telemetry = "home/{topic}/tele/SENSOR"
map.fields = { watts = "/ENERGY/Power" }
samples = [{ topic = "home/a/tele/SENSOR", in = '{"ENERGY":{"Power":46}}', out = '{"watts":46}' }]
)");
  CHECK(member(loaded, "plug-a").mqtt->telemetry == "home/a/tele/SENSOR");
  CHECK(member(loaded, "plug-a").mqtt->more_telemetry.empty());
}

TEST_CASE("a sample that does not come out is a problem at its place", "[config]") {
  const auto loaded = load_strings(kBroker, {R"([[device]]
id = "a"
mqtt.telemetry = "a/{what}"
map.fields = { t = { at = "/t", factor = 0.1 } }
samples = [
  { topic = "a/x", in = '{"t":215}', out = '{"t":21.5}' },
  { topic = "a/x", in = '{"t":215}', out = '{"t":215}' },
  { topic = "a/x", in = '{"u":1}', out = '{"t":1}' },
  { topic = "b", in = '{"t":215}', out = '{"t":21.5}' },
  { topic = "a/x", in = 'no', out = '' },
  { topic = "a/x", in = '{"t":1}' },
]
)"});
  const auto text = report(loaded.problems);
  CHECK(text.find("0.toml:6") == std::string::npos);
  CHECK(text.find("0.toml:7:3: the sample gives \"{\"t\":21.5}\" instead of \"{\"t\":215}\"") != std::string::npos);
  CHECK(text.find("0.toml:8:3: nothing goes up for this sample") != std::string::npos);
  CHECK(text.find("0.toml:9:3: the sample's topic \"b\" is none of mqtt.telemetry") != std::string::npos);
  CHECK(text.find("samples.out is empty") != std::string::npos);
  CHECK(text.find("0.toml:11:3: the sample has no out") != std::string::npos);
}

TEST_CASE("maps that overlap are told, maps that collide are refused", "[config]") {
  const std::string two = "[[family]]\nid = \"a-{x}\"\nmqtt.telemetry = \"t/{x}/v\"\n";
  const auto overlap = load_strings(
      kBroker, {two,
                "[[family]]\nid = \"b-{y}\"\nmqtt.telemetry = \"t/{y+}\"\n[[device]]\nid = \"c\"\nmqtt.telemetry = "
                "\"t/c/v\"\n"});
  CHECK(report(overlap.problems).empty());
  CHECK(report(overlap.warnings).find("the topic \"t/c/v\" overlaps \"t/{x}/v\"") != std::string::npos);
  CHECK(report(overlap.warnings).find("the topic \"t/{y+}\" overlaps \"t/{x}/v\"") != std::string::npos);
  const auto collide = load_strings(kBroker, {two, "[[family]]\nid = \"b-{y}\"\nmqtt.telemetry = \"t/{y}/v\"\n"});
  CHECK(report(collide.problems).find("is used already") != std::string::npos);
}

TEST_CASE("a family that cannot work says why", "[config]") {
  const auto why = [](const std::string& text) {
    return report(load_strings(kBroker, {"[[family]]\n" + text}).problems);
  };
  CHECK(why("preset = \"tasmoto\"\nid = \"x-{topic}\"\n").find("write one of \"tasmota\"") != std::string::npos);
  CHECK(why("preset = \"tasmota\"\nid = \"x\"\n").find("holds what tells its devices apart") != std::string::npos);
  CHECK(why("preset = \"tasmota\"\nid = \"x-{name}\"\n").find("which none of its topics has") != std::string::npos);
  CHECK(why("preset = \"tasmota\"\nbase = \"b\"\nid = \"x-{topic}\"\n").find("has no base") != std::string::npos);
  CHECK(why("id = \"x-{value}\"\nmqtt.telemetry = \"up\"\n").find("id_from") != std::string::npos);
  CHECK(why("id = \"x-{value}\"\nmqtt.telemetry = \"up\"\nmqtt.id_from = \"/dev\"\n").empty());
  CHECK(why("id = \"x-{n}\"\nmqtt.telemetry = \"up/+\"\n").find("wildcard") != std::string::npos);
  CHECK(why("id = \"x-{n}\"\nmqtt.telemetry = \"up/{n}\"\nlookup = { a = 1 }\n").find("lookup.a") != std::string::npos);
}

TEST_CASE("a map that cannot work says why", "[config]") {
  const auto why = [](const std::string& text) {
    return report(load_strings(kBroker, {"[[device]]\nid = \"a\"\nmqtt.telemetry = \"t\"\n" + text}).problems);
  };
  CHECK(why("map.root = \"a/b\"\n").find("write a JSON pointer") != std::string::npos);
  CHECK(why("map.fields = { a = \"b\" }\n").find("map.fields.a is \"b\"") != std::string::npos);
  CHECK(why("map.fields = { a = { at = \"/a\", value = \"x\" } }\n").find("needs one of") != std::string::npos);
  CHECK(why("map.fields = { a = { at = \"/a\", factr = 2 } }\n").find("did you mean \"factor\"") != std::string::npos);
  CHECK(why("map.dead_band = 1\n").find("without map.change_only") != std::string::npos);
  CHECK(why("map.group = 2\n").find("unit is missing") != std::string::npos);
  CHECK(why("map.name = \"{a\"\n").find("without its '}'") != std::string::npos);
}

}  // namespace trunkline::config
