// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "tests/component/mqtt/bench.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {
const std::string kState = "plant/boiler/state";
const char* const kPuback = "Received PUBACK from trunkline";
}  // namespace

TEST_CASE("a message becomes telemetry of its device and is acknowledged once it is safe", "[D-01]") {
  Bench bench;
  bench.run();
  bench.broker.publish(
      kState, "21.5",
      {"-D", "publish", "content-type", "text/plain", "-D", "publish", "user-property", "unit", "degC"});
  REQUIRE(bench.ingress.wait_held(1));
  const auto telemetry = bench.ingress.received().front();
  CHECK(telemetry.device == device_id("boiler"));
  CHECK(telemetry.body == "21.5");
  CHECK(telemetry.content_type == "text/plain");
  CHECK(telemetry.properties == std::vector<Property>{{"unit", "degC"}});
  CHECK(telemetry.source == Source::mqtt);
  CHECK(bench.broker.log().lines_with(kPuback) == 0);

  REQUIRE(bench.ingress.answer(Admission::safe()));
  CHECK(bench.broker.log().wait_line(kPuback));
  CHECK(bench.adapter->status().healthy);
  CHECK(bench.adapter->status().devices.front().last_heard);
}

TEST_CASE("a message that is not safe at the stop is never acknowledged, and the broker brings it again", "[D-01]") {
  Bench bench;
  bench.run();
  bench.broker.publish(kState, "1");
  REQUIRE(bench.ingress.wait_held(1));
  bench.adapter->stop(in(100ms));
  CHECK(bench.broker.log().lines_with(kPuback) == 0);

  bench.ingress.answer_by(always_safe);
  bench.run();
  REQUIRE(bench.ingress.wait_count(2));
  CHECK(bench.ingress.bodies() == std::vector<std::string>{"1", "1"});
  CHECK(bench.broker.log().lines_with("Sending PUBLISH to trunkline (d1") == 1);
  CHECK(bench.broker.log().wait_line(kPuback));
  CHECK(bench.adapter->status().detail.find("session kept") != std::string::npos);
}

TEST_CASE("a message that intake abandoned is never acknowledged", "[D-01]") {
  Bench bench;
  bench.ingress.answer_by([](const Telemetry&) { return Admission::abandoned(); });
  bench.run();
  bench.broker.publish(kState, "1");
  REQUIRE(bench.ingress.wait_count(1));
  bench.adapter->stop(in(10s));
  bench.ingress.answer_by(always_safe);
  bench.run();
  REQUIRE(bench.ingress.wait_count(2));
  CHECK(bench.broker.log().lines_with("Sending PUBLISH to trunkline (d1") == 1);
}

TEST_CASE("a message that becomes safe while the adapter stops is acknowledged", "[D-01]") {
  Bench bench;
  bench.run();
  bench.broker.publish(kState, "1");
  REQUIRE(bench.ingress.wait_held(1));
  std::thread stopping([&] { bench.adapter->stop(in(20s)); });
  bench.ingress.answer(Admission::safe());
  stopping.join();
  CHECK(bench.broker.log().wait_line(kPuback));
}

TEST_CASE("a throttled message is offered again until it is safe, and only then acknowledged", "[D-06]") {
  Bench bench;
  std::atomic<int> left{3};
  bench.ingress.answer_by([&](const Telemetry&) {
    return left-- > 0 ? Admission::throttled(30ms, "the spool is full") : Admission::safe();
  });
  bench.run();
  bench.broker.publish(kState, "1");
  bench.broker.publish(kState, "2");
  REQUIRE(bench.ingress.wait_count(5));
  CHECK(bench.ingress.bodies() == std::vector<std::string>{"1", "1", "1", "1", "2"});
  CHECK(bench.broker.log().wait_line(kPuback, 2));
}

TEST_CASE("a refused message is dropped and holds up nothing", "[D-06]") {
  Bench bench;
  bench.ingress.answer_by([](const Telemetry& telemetry) {
    return telemetry.body == "huge" ? Admission::refused("oversize") : Admission::safe();
  });
  bench.run();
  bench.broker.publish(kState, "huge");
  bench.broker.publish(kState, "2");
  REQUIRE(bench.ingress.wait_count(2));
  CHECK(bench.broker.log().wait_line(kPuback, 2));
  CHECK(bench.metrics.metric("mqtt_refused_total", "").value() == 1);
}

TEST_CASE("a packet that nobody could take stays at the broker, and what comes behind it flows", "[D-06]") {
  Bench bench;
  bench.ingress.answer_by(always_safe);
  bench.run();
  const auto file = bench.broker.directory().write("huge", std::string(17U << 20U, 'x'));
  Child huge(bench.broker.client("mosquitto_pub", "huge", {"-t", kState, "-f", file}));
  REQUIRE(huge.wait_exit() == 0);
  const auto large = bench.broker.directory().write("large", std::string(15U << 20U, 'y'));
  Child other(bench.broker.client("mosquitto_pub", "large", {"-t", kState, "-f", large}));
  REQUIRE(other.wait_exit() == 0);
  bench.broker.publish(kState, "small");
  REQUIRE(bench.ingress.wait_count(2));
  CHECK(bench.ingress.received()[0].body.size() == 15U << 20U);
  CHECK(bench.ingress.received()[1].body == "small");
  CHECK(bench.broker.log().lines_with("Dropping too large outgoing PUBLISH for trunkline") == 1);
}

TEST_CASE("what is published while the adapter is away waits in the broker's session", "[D-02]") {
  Bench bench;
  bench.ingress.answer_by(always_safe);
  bench.run();
  bench.adapter->stop(in(1s));
  std::vector<std::string> sent;
  for (int i = 0; i < 5; ++i) bench.broker.publish(kState, sent.emplace_back(std::to_string(i)));
  bench.run();
  REQUIRE(bench.ingress.wait_count(5));
  CHECK(bench.ingress.bodies() == sent);
}

TEST_CASE("a broker that restarts with its session finds us again by itself", "[R-01]") {
  Bench bench;
  bench.ingress.answer_by(always_safe);
  bench.run();
  bench.broker.stop();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::away));
  CHECK_FALSE(bench.adapter->status().healthy);
  bench.broker.start();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  CHECK(bench.adapter->status().detail.find("session kept") != std::string::npos);
  bench.broker.publish(kState, "back");
  CHECK(bench.ingress.wait_count(1));
}

TEST_CASE("a broker that lost our session gets the subscriptions again", "[R-01]") {
  Bench bench;
  bench.ingress.answer_by(always_safe);
  bench.run();
  bench.broker.stop();
  bench.broker.forget_sessions();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::away));
  bench.broker.start();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  CHECK(bench.adapter->status().detail.find("session new") != std::string::npos);
  bench.broker.publish(kState, "back");
  CHECK(bench.ingress.wait_count(1));
}

TEST_CASE("many devices are all heard, and a retained message comes once") {
  std::vector<DeviceMap> maps;
  for (int i = 0; i < 250; ++i) maps.push_back(mqtt_device("d" + std::to_string(i)));
  Bench bench(std::move(maps));
  bench.ingress.answer_by(always_safe);
  bench.broker.publish("plant/d7/state", "kept", {"-r"});
  bench.run();
  bench.broker.publish("plant/d249/state", "last");
  REQUIRE(bench.ingress.wait_count(2));
  CHECK(bench.ingress.bodies() == std::vector<std::string>{"kept", "last"});
  bench.run();
  bench.broker.publish("plant/d0/state", "first");
  REQUIRE(bench.ingress.wait_count(3));
  CHECK(bench.ingress.bodies().back() == "first");
}
