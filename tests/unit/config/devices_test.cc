// SPDX-License-Identifier: Apache-2.0
#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

namespace trunkline::config {
namespace {

const std::string kAll = kHub + "[mqtt]\nbroker = \"mqtt://127.0.0.1\"\n[coap]\nlisten = \"127.0.0.1:5683\"\n";

std::string mqtt_device(const std::string& id, const std::string& topic, const std::string& more = "") {
  return "[[device]]\nid = \"" + id + "\"\nmqtt.telemetry = \"" + topic + "\"\n" + more;
}

}  // namespace

TEST_CASE("devices stand in the order of their files", "[config]") {
  const auto loaded = load_strings(kAll, {mqtt_device("b", "t1") + mqtt_device("c", "t2"), mqtt_device("a", "t3")});
  CHECK(report(loaded.problems).empty());
  REQUIRE(loaded.settings.devices.size() == 3);
  CHECK(loaded.settings.devices[0].id.text() == "b");
  CHECK(loaded.settings.devices[2].id.text() == "a");
  CHECK(loaded.settings.devices[2].place.file == "/c/devices.d/1.toml");
}

TEST_CASE("a device id is given once, over all files", "[config]") {
  const auto loaded = load_strings(kAll, {mqtt_device("a", "t1"), mqtt_device("a", "t2")});
  CHECK(report(loaded.problems) ==
        "devices.d/1.toml:2:6: the device id \"a\" is used already at /c/devices.d/0.toml:2:6; give each id once\n");
}

TEST_CASE("a topic has one meaning at one broker", "[config]") {
  const auto loaded = load_strings(
      kAll, {mqtt_device("a", "t", "mqtt.command = \"t\"\ncommand_done = \"written\"\n"), mqtt_device("b", "t")});
  CHECK(report(loaded.problems) ==
        "devices.d/0.toml:4:16: the MQTT topic \"t\" is used already at /c/devices.d/0.toml:3:18; each topic can have "
        "one meaning\n"
        "devices.d/1.toml:3:18: the MQTT topic \"t\" is used already at /c/devices.d/0.toml:3:18; each topic can have "
        "one meaning\n");
  const std::string two = kHub +
                          "[[mqtt]]\nname = \"x\"\nbroker = \"mqtt://10.0.0.1\"\n"
                          "[[mqtt]]\nname = \"y\"\nbroker = \"mqtt://10.0.0.2\"\n";
  CHECK(load_strings(two,
                     {mqtt_device("a", "t", "mqtt.broker = \"x\"\n") + mqtt_device("b", "t", "mqtt.broker = \"y\"\n")})
            .problems.empty());
}

TEST_CASE("a device names a broker that is there", "[config]") {
  const std::string two = kHub +
                          "[[mqtt]]\nname = \"north\"\nbroker = \"mqtt://10.0.0.1\"\n"
                          "[[mqtt]]\nname = \"south\"\nbroker = \"mqtt://10.0.0.2\"\n";
  CHECK(
      report(load_strings(two, {mqtt_device("a", "t", "mqtt.broker = \"nroth\"\n")}).problems) ==
      "devices.d/0.toml:4:15: mqtt.broker is \"nroth\", but trunkline.toml has no [[mqtt]] of that name; did you mean "
      "\"north\"?\n");
  CHECK(report(load_strings(two, {mqtt_device("a", "t")}).problems) ==
        "devices.d/0.toml:3:1: trunkline.toml has several brokers; say mqtt.broker = \"<its name>\"\n");
  const auto one =
      load_strings(kHub + "[[mqtt]]\nname = \"north\"\nbroker = \"mqtt://10.0.0.1\"\n", {mqtt_device("a", "t")});
  CHECK(report(one.problems).empty());
  CHECK(one.settings.devices.at(0).mqtt->broker == "north");
}

TEST_CASE("a protocol that trunkline.toml does not set up is a dangling reference", "[config]") {
  const std::string coap = "[[device]]\nid = \"c\"\ncoap.telemetry = \"/t\"\n";
  const auto loaded = load_strings(kHub, {mqtt_device("a", "t"), coap});
  REQUIRE(loaded.problems.size() == 2);
  CHECK(loaded.problems[0].text().find("0.toml:3:1: this device speaks MQTT, but") != std::string::npos);
  CHECK(loaded.problems[1].text().find("1.toml:3:1: this device speaks CoAP, but") != std::string::npos);
  // A table that is there but wrong is reported once, not once a device.
  CHECK(load_strings(kHub + "[mqtt]\n[coap]\n", {mqtt_device("a", "t"), coap}).problems.size() == 2);
  CHECK(load_strings(kHub + "[coap", {mqtt_device("a", "t"), coap}).problems.size() == 1);
}

TEST_CASE("CoAP devices without an address have paths of their own", "[config]") {
  const auto device = [](const std::string& id, const std::string& more) {
    return "[[device]]\nid = \"" + id + "\"\ncoap.telemetry = \"/t\"\n" + more;
  };
  CHECK(report(load_strings(kAll, {device("a", "") + device("b", "")}).problems) ==
        "devices.d/0.toml:6:18: the CoAP path \"/t\" is used already at /c/devices.d/0.toml:3:18; give each device its "
        "own paths, or its coap.address\n");
  CHECK(
      load_strings(kAll, {device("a", "coap.address = \"10.0.0.1\"\n") + device("b", "coap.address = \"10.0.0.2\"\n")})
          .problems.empty());
  CHECK(load_strings(kAll, {device("a", "coap.address = \"::1\"\n") + device("b", "coap.address = \"0::1\"\n")})
            .problems.size() == 1);
  CHECK(load_strings(kAll, {device("a", "coap.command = \"/t\"\ncoap.result = \"/t\"\n")}).problems.size() == 2);
}

TEST_CASE("each TCP device has a listener of its own", "[config]") {
  const auto device = [](const std::string& id, const std::string& listen) {
    return "[[device]]\nid = \"" + id + "\"\ntcp.listen = \"" + listen + "\"\n";
  };
  CHECK(report(load_strings(kHub, {device("a", "0.0.0.0:4001") + device("b", "127.0.0.1:4001")}).problems) ==
        "devices.d/0.toml:6:14: tcp.listen 127.0.0.1:4001 collides with 0.0.0.0:4001 at /c/devices.d/0.toml:3:14; give "
        "each device its own port\n");
  CHECK(load_strings(kHub, {device("a", "127.0.0.1:9464")}).problems.size() == 1);
  CHECK(load_strings(kHub, {device("a", "127.0.0.1:1") + device("b", "127.0.0.1:2")}).problems.empty());
  for (const auto* wrong : {"4001", "0.0.0.0", "0.0.0.0:0", "0.0.0.0:65536", "scale.local:4001", ":4001", "1.2.3:1"}) {
    INFO(wrong);
    const auto loaded = load_strings(kHub, {device("a", wrong)});
    REQUIRE(loaded.problems.size() == 1);
    CHECK(loaded.problems[0].place.column == 14);
  }
}

TEST_CASE("a syntax error in one file leaves the others checked", "[config]") {
  const auto loaded = load_strings(kAll + "[spool]\nmax_bytes = 1\n",
                                   {"[[device]\n", mqtt_device("a", "t", "in_flight = 0\n"), "[[device]]\nid = \n"});
  REQUIRE(loaded.problems.size() == 4);
  CHECK(loaded.problems[0].place.line == 8);
  CHECK(loaded.problems[1].text().find("devices.d/0.toml:1:") != std::string::npos);
  CHECK(loaded.problems[1].message.find("not valid TOML") != std::string::npos);
  CHECK(loaded.problems[2].text().find("devices.d/1.toml:4:13") != std::string::npos);
  CHECK(loaded.problems[3].text().find("devices.d/2.toml:2:") != std::string::npos);
}

TEST_CASE("ten thousand devices load", "[config]") {
  std::string map;
  for (int i = 0; i < 10'000; ++i) map += mqtt_device("d" + std::to_string(i), "t/{device}");
  const auto loaded = load_strings(kAll, {map});
  CHECK(loaded.problems.empty());
  CHECK(loaded.settings.devices.size() == 10'000);
}

}  // namespace trunkline::config
