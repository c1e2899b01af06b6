// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/family.h"
#include "tests/component/mqtt/bench.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

DeviceMap plug(const std::string& name) {
  auto map = mqtt_device("plug-" + name);
  map.mqtt = MqttMap{"default", "tele/" + name + "/SENSOR", "cmnd/" + name + "/{command}", "stat/" + name + "/RESULT"};
  map.mqtt->presence = MqttPresence{"tele/" + name + "/LWT", "Online", "Offline"};
  map.mqtt->filters = {"tele/+/SENSOR", "stat/+/RESULT"};
  map.mqtt->state_filters = {"tele/+/LWT"};
  return map;
}

std::vector<DeviceMap> plugs(int count) {
  std::vector<DeviceMap> out;
  for (int i = 0; i < count; ++i) out.push_back(plug("p" + std::to_string(i)));
  return out;
}

}  // namespace

TEST_CASE("two thousand devices stand behind one filter", "[I-02]") {
  Bench bench(plugs(2000));
  bench.ingress.answer_by(always_safe);
  bench.run();
  CHECK(bench.broker.log().lines_with("Sending SUBACK to trunkline") == 3);
  bench.broker.publish("tele/p1999/SENSOR", "1");
  bench.broker.publish("tele/stranger/SENSOR", "2");
  bench.broker.publish("tele/p0/SENSOR", "3");
  REQUIRE(bench.ingress.wait_count(2));
  CHECK(bench.ingress.received()[0].device == device_id("plug-p1999"));
  CHECK(bench.ingress.received()[1].device == device_id("plug-p0"));
  CHECK(bench.metrics.metric("mqtt_unmapped_total", "").value() == 1);
  CHECK(bench.adapter->status().unknown_topics == std::vector<std::string>{"tele/stranger/SENSOR"});
}

TEST_CASE("a flood of new topics takes bounded memory and stops nobody", "[D-06]") {
  Bench bench(plugs(1));
  bench.ingress.answer_by(always_safe);
  bench.run();
  for (int i = 0; i < 60; ++i)
    bench.broker.publish("tele/" + std::to_string(i) + std::string(300, 'x') + "/SENSOR", "1");
  bench.broker.publish("tele/p0/SENSOR", "mine");
  REQUIRE(bench.ingress.wait_count(1));
  const auto sample = bench.adapter->status().unknown_topics;
  CHECK(sample.size() == 20);
  CHECK(sample.front().size() == 200);
  CHECK(bench.metrics.metric("mqtt_unmapped_total", "").value() == 60);
}

TEST_CASE("a last will that is retained is known at once, also after a restart", "[C-02]") {
  Bench bench(plugs(2));
  bench.ingress.answer_by(always_safe);
  bench.broker.publish("tele/p1/LWT", "Offline", {"-r"});
  for (int round = 0; round < 2; ++round) {
    bench.run();
    REQUIRE(bench.ingress.wait_presence(device_id("plug-p1"), Presence::away));
    bench.adapter->stop(in(1s));
  }
  bench.run();
  auto outcome = bench.deliver(Bench::command("plug-p1", 7, 10s)).wait();
  REQUIRE(outcome);
  bench.broker.publish("tele/p1/LWT", "Online", {"-r"});
  CHECK(bench.ingress.wait_presence(device_id("plug-p1"), Presence::reachable));
  // A will is no telemetry.
  CHECK(bench.ingress.received().empty());
}

TEST_CASE("a command's property fills its topic, and what cannot is rejected", "[C-01]") {
  Bench bench({plug("k")});
  bench.run();
  const auto device = bench.broker.subscribe("device", "cmnd/k/#", "%t %p");
  auto command = Bench::command("plug-k", 1, 20s);
  command.properties = {{"command", "POWER"}};
  auto slot = bench.deliver(std::move(command));
  REQUIRE(device->wait_line("cmnd/k/POWER open 1"));
  bench.broker.publish("stat/k/RESULT", R"({"POWER":"ON"})");
  REQUIRE(slot.wait());
  CHECK(slot.wait()->kind == Outcome::Kind::accepted);

  auto nowhere = bench.deliver(Bench::command("plug-k", 2, 20s)).wait();
  REQUIRE(nowhere);
  CHECK(nowhere->kind == Outcome::Kind::rejected);
  auto wild = Bench::command("plug-k", 3, 20s);
  wild.properties = {{"command", "#"}};
  CHECK(bench.deliver(std::move(wild)).wait()->kind == Outcome::Kind::rejected);
}

TEST_CASE("a command goes out in the frame that the device wants", "[C-01]") {
  auto map = plug("s");
  map.mqtt->command = "s/rpc";
  map.mqtt->command_reply = "trunkline/s/rpc";
  map.mqtt->filters = {"tele/+/SENSOR", "trunkline/+/rpc"};
  map.mqtt->command_payload = R"({{"id":{id},"src":"trunkline/{topic}","method":"{method}","params":{object}}})";
  map.captures = {{"topic", "s"}};
  Bench bench({map});
  bench.run();
  const auto device = bench.broker.subscribe("device", "s/rpc", "%p");
  auto command = Bench::command("plug-s", 9, 20s);
  command.body = R"({"id":0,"on":true})";
  command.properties = {{"method", "Switch.Set\"}"}};
  auto slot = bench.deliver(std::move(command));
  REQUIRE(device->wait_line(R"({"id":9,"src":"trunkline/s","method":"Switch.Set}","params":{"id":0,"on":true}})"));
  bench.broker.publish("trunkline/s/rpc", R"({"id":8,"src":"s","result":{}})");
  bench.broker.publish("trunkline/s/rpc", R"({"id":9,"src":"s","result":{"was_on":false}})");
  REQUIRE(slot.wait());
  CHECK(slot.wait()->kind == Outcome::Kind::accepted);
}

TEST_CASE("retained messages are state: marked, dropped or passed as the map says", "[mqtt]") {
  std::vector<DeviceMap> maps{mqtt_device("a"), mqtt_device("b"), mqtt_device("c")};
  maps[1].mqtt->retained = Retained::drop;
  maps[2].mqtt->retained = Retained::forward;
  Bench bench(std::move(maps));
  bench.ingress.answer_by(always_safe);
  for (const std::string name : {"a", "b", "c"}) bench.broker.publish("plant/" + name + "/state", name, {"-r"});
  bench.run();
  REQUIRE(bench.ingress.wait_count(2));
  bench.broker.publish("plant/b/state", "live");
  REQUIRE(bench.ingress.wait_count(3));
  const auto received = bench.ingress.received();
  for (const auto& telemetry : received) {
    const bool marked = telemetry.properties == std::vector<Property>{{"retained", "true"}};
    CHECK(marked == (telemetry.device == device_id("a")));
  }
  CHECK(bench.metrics.metric("mqtt_retained_dropped_total", "").value() == 1);
}

TEST_CASE("MQTT 3.1.1 works both ways, and its session brings what waited", "[D-02][R-01]") {
  Bench bench;
  bench.settings.version = "3.1.1";
  bench.ingress.answer_by(always_safe);
  bench.run();
  CHECK(bench.broker.log().lines_with("as trunkline (p2, c0") == 1);
  bench.broker.publish("plant/boiler/state", "1");
  REQUIRE(bench.ingress.wait_count(1));
  const auto device = bench.broker.subscribe("device", "plant/boiler/cmd", "%p");
  auto slot = bench.deliver(Bench::command("boiler", 4, 20s));
  REQUIRE(device->wait_line("open 4"));
  bench.broker.publish("plant/boiler/done", "4");
  REQUIRE(slot.wait());
  CHECK(slot.wait()->kind == Outcome::Kind::accepted);
  bench.adapter->stop(in(1s));
  bench.broker.publish("plant/boiler/state", "2");
  bench.run();
  REQUIRE(bench.ingress.wait_count(2));
  bench.broker.stop();
  bench.broker.forget_sessions();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::away));
  bench.broker.start();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  bench.broker.publish("plant/boiler/state", "3");
  CHECK(bench.ingress.wait_count(3));
}
