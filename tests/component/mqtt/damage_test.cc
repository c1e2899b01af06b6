// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/bench.h"
#include "tests/component/mqtt/fake_broker.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

// An adapter at a broker that passes on what no broker should.
struct DamageBench {
  DamageBench() {
    settings.broker = net::Endpoint{"127.0.0.1", broker.port()};
    ingress.answer_by(always_safe);
    REQUIRE(adapter.start(ingress));
    REQUIRE(broker.wait_subscriptions(2));
    REQUIRE(ingress.wait_presence(device_id("boiler"), Presence::reachable));
  }
  ~DamageBench() { adapter.stop(in(5s)); }
  std::uint64_t damaged() { return metrics.metric("mqtt_damaged_total", "").value(); }

  FakeBroker broker;
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  config::Mqtt settings;
  MqttAdapter adapter{at(settings, broker), {mqtt_device("boiler")}, clock, metrics};

  static config::Mqtt at(config::Mqtt settings, const FakeBroker& broker) {
    settings.broker = net::Endpoint{"127.0.0.1", broker.port()};
    return settings;
  }
};

}  // namespace

TEST_CASE("a topic that is no UTF-8 is counted, shown as text and acknowledged, and the rest flows", "[I-01]") {
  DamageBench bench;
  REQUIRE(bench.broker.send(FakeBroker::publish("plant/\xff\xfe/state", "1", 1)));
  REQUIRE(bench.broker.send(FakeBroker::publish("plant/boiler/state", "2", 2)));
  REQUIRE(bench.ingress.wait_count(1));
  CHECK(bench.ingress.bodies() == std::vector<std::string>{"2"});
  CHECK(bench.damaged() == 1);
  CHECK(bench.adapter.status().unknown_topics == std::vector<std::string>{"plant/\?\?/state"});
  CHECK(bench.broker.wait_pubacks(2));
}

TEST_CASE("a property that is no UTF-8 is left behind and its message goes on", "[I-01]") {
  DamageBench bench;
  // Content type "\xff", user property good=1, user property "b\xff"=2 (MQTT 5.0 section 2.2.2.2).
  const std::string properties(
      "\x03\x00\x01\xff\x26\x00\x04good\x00\x01"
      "1\x26\x00\x02"
      "b\xff\x00\x01"
      "2",
      22);
  REQUIRE(bench.broker.send(FakeBroker::publish("plant/boiler/state", "1", 1, properties)));
  REQUIRE(bench.ingress.wait_count(1));
  const auto telemetry = bench.ingress.received().front();
  CHECK(telemetry.content_type.empty());
  CHECK(telemetry.properties == std::vector<Property>{{"good", "1"}});
  CHECK(bench.damaged() == 1);
}
