// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/bench.h"
#include "tests/component/mqtt/fake_broker.h"
#include "tests/support/catch.h"
#include "tests/support/eventually.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {
const std::string kCmd = "plant/boiler/cmd";
const std::string kDone = "plant/boiler/done";
const std::string kState = "plant/boiler/state";
}  // namespace

TEST_CASE("a command reaches the device with all it says and is done when the device replies", "[C-01]") {
  Bench bench;
  bench.run();
  auto device = bench.broker.subscribe("device", kCmd, "%p|%D|%R|%C|%E|%P|%r");
  auto command = Bench::command("boiler", 41, 30s);
  command.content_type = "text/plain";
  command.properties = {{"valve", "3"}, {"bad", std::string("\xff\xfe")}};
  auto slot = bench.deliver(std::move(command));
  REQUIRE(device->wait_line("open 41|41|plant/boiler/done|text/plain|29|valve:3|0"));
  CHECK_FALSE(slot.wait(0ms));
  bench.broker.publish(kDone, "whatever", {"-D", "publish", "correlation-data", "41"});
  const auto outcome = slot.wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Kind::accepted);
  CHECK(bench.ingress.count() == 0);
}

TEST_CASE("commands of one device go one after the other", "[C-01]") {
  Bench bench;
  bench.run();
  auto device = bench.broker.subscribe("device", kCmd, "%p");
  auto first = bench.deliver(Bench::command("boiler", 1, 30s));
  auto second = bench.deliver(Bench::command("boiler", 2, 30s));
  REQUIRE(device->wait_line("open 1"));
  bench.broker.publish(kDone, "{\"id\":1,\"ok\":true}");
  REQUIRE(first.wait());
  REQUIRE(device->wait_line("open 2"));
  CHECK_FALSE(second.wait(0ms));
  bench.broker.publish(kDone, "2");
  REQUIRE(second.wait());
  CHECK(second.wait()->kind == Kind::accepted);
}

TEST_CASE("the broker's PUBACK is enough where the map says so", "[C-01]") {
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged)});
  bench.run();
  auto device = bench.broker.subscribe("device", kCmd, "%p");
  const auto outcome = bench.deliver(Bench::command("boiler", 7, 30s)).wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Kind::accepted);
  CHECK(device->wait_line("open 7"));
  CHECK(bench.broker.log().lines_with("Sending PUBACK to trunkline") == 1);
}

TEST_CASE("a command on whose topic nobody listens is released where the PUBACK counts", "[C-01]") {
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged)});
  bench.run();
  const auto nobody = bench.deliver(Bench::command("boiler", 7, 30s)).wait();
  REQUIRE(nobody);
  CHECK(nobody->kind == Kind::released);
  CHECK(nobody->description.find("nobody listens") != std::string::npos);

  auto device = bench.broker.subscribe("device", kCmd, "%p|%D|%R|%C|%E|%P|%r");
  auto command = Bench::command("boiler", 8, 30s);
  command.content_type = "text/plain";
  command.properties = {{"valve", "3"}, {"bad", std::string("\xff\xfe")}};
  const auto somebody = bench.deliver(std::move(command)).wait();
  REQUIRE(somebody);
  CHECK(somebody->kind == Kind::accepted);
  CHECK(device->wait_line("open 8|8|plant/boiler/done|text/plain|29|valve:3|0"));
}

TEST_CASE("the reason in a PUBACK decides what becomes of a command that it proves", "[C-01]") {
  FakeBroker broker;
  config::Mqtt settings;
  settings.broker = net::Endpoint{"127.0.0.1", broker.port()};
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  MqttAdapter adapter(settings, {mqtt_device("boiler", CommandDone::acknowledged)}, clock, metrics);
  REQUIRE(adapter.start(ingress));
  REQUIRE(ingress.wait_presence(device_id("boiler"), Presence::reachable));
  const auto outcome_for = [&](std::uint8_t reason) {
    broker.answer_publishes_with(reason);
    OutcomeSlot slot;
    adapter.deliver(Bench::command("boiler", 100U + reason, 30s), slot.completion());
    return slot.wait().value_or(Outcome{Kind::modified});
  };
  CHECK(outcome_for(0x00).kind == Kind::accepted);
  CHECK(outcome_for(0x10).kind == Kind::released);
  CHECK(outcome_for(0x87).kind == Kind::rejected);
  CHECK(outcome_for(0x97).kind == Kind::released);  // quota exceeded
  CHECK(outcome_for(0x99).kind == Kind::rejected);  // payload format invalid
  CHECK(outcome_for(0x00).kind == Kind::accepted);
  adapter.stop(in(5s));
}

TEST_CASE("MQTT 3.1.1 tells no reason, so its PUBACK is believed", "[C-01]") {
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged)});
  bench.settings.version = "3.1.1";
  bench.run();
  const auto outcome = bench.deliver(Bench::command("boiler", 7, 30s)).wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Kind::accepted);
  CHECK(bench.broker.log().lines_with("trunkline-commands") == 0);
}

TEST_CASE("a command that the PUBACK proves does not wait behind a message that is held", "[C-01]") {
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged)});
  bench.run();
  auto device = bench.broker.subscribe("device", kCmd, "%p");
  bench.broker.publish(kState, "full");
  REQUIRE(bench.ingress.wait_held(1));
  const auto outcome = bench.deliver(Bench::command("boiler", 1, 30s)).wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Kind::accepted);
  CHECK(bench.ingress.held() == 1);
  bench.ingress.answer(Admission::safe());
}

TEST_CASE("a lost connection for commands is a lost broker, and both come back", "[R-01]") {
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged)});
  bench.ingress.answer_by(always_safe);
  bench.run();
  {
    // Whoever comes with the same client id throws the older one out.
    Child rival(bench.broker.client("mosquitto_pub", "trunkline-commands", {"-t", "x", "-m", "1"}));
    REQUIRE(rival.wait_exit() == 0);
  }
  REQUIRE(bench.broker.log().wait_line("as trunkline (p5", 2));
  auto device = bench.broker.subscribe("device", kCmd, "%p");
  REQUIRE(eventually([&] {
    const auto outcome = bench.deliver(Bench::command("boiler", 1, 30s)).wait();
    return outcome && outcome->kind == Kind::accepted;
  }));
  bench.broker.publish(kState, "1");
  CHECK(bench.ingress.wait_count(1));
}

TEST_CASE("a command that is written counts as done where the map says so", "[C-01]") {
  Bench bench({mqtt_device("boiler", CommandDone::written)});
  bench.run();
  const auto outcome = bench.deliver(Bench::command("boiler", 7, 30s)).wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Kind::accepted);
  CHECK(bench.broker.log().wait_line("Received PUBLISH from trunkline"));
}

TEST_CASE("a device that does not reply has its command released at the deadline", "[C-01]") {
  Bench bench;
  bench.run();
  auto slot = bench.deliver(Bench::command("boiler", 1, 300ms));
  const auto outcome = slot.wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Kind::released);
  bench.broker.publish(kDone, "1");
  auto next = bench.deliver(Bench::command("boiler", 2, 300ms));
  REQUIRE(next.wait());
  CHECK(next.wait()->kind == Kind::released);
}

TEST_CASE("a broker that goes away releases what is outstanding, and its devices are away", "[C-02]") {
  Bench bench;
  bench.run();
  auto outstanding = bench.deliver(Bench::command("boiler", 1, 60s));
  REQUIRE(bench.broker.log().wait_line("Received PUBLISH from trunkline"));
  bench.broker.stop();
  REQUIRE(outstanding.wait());
  CHECK(outstanding.wait()->kind == Kind::released);
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::away));
  auto late = bench.deliver(Bench::command("boiler", 2, 60s));
  REQUIRE(late.wait());
  CHECK(late.wait()->kind == Kind::released);

  // What was released is not sent by anybody later.
  bench.broker.forget_sessions();
  bench.broker.start();
  auto device = bench.broker.subscribe("device", kCmd, "%p");
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  auto third = bench.deliver(Bench::command("boiler", 3, 60s));
  REQUIRE(device->wait_line("open 3"));
  CHECK(device->lines_with("open") == 1);
}

TEST_CASE("a command while a message is held is answered at its deadline and then never sent", "[C-01]") {
  Bench bench;
  bench.run();
  auto device = bench.broker.subscribe("device", kCmd, "%p");
  bench.broker.publish(kState, "full");
  REQUIRE(bench.ingress.wait_held(1));

  const auto before = std::chrono::steady_clock::now();
  auto lost = bench.deliver(Bench::command("boiler", 1, 500ms));
  CHECK(std::chrono::steady_clock::now() - before < 400ms);
  REQUIRE(lost.wait());
  CHECK(lost.wait()->kind == Kind::released);
  auto kept = bench.deliver(Bench::command("boiler", 2, 60s));
  CHECK_FALSE(kept.wait(50ms));

  bench.ingress.answer(Admission::safe());
  REQUIRE(device->wait_line("open 2"));
  CHECK(device->lines_with("open 1") == 0);
  bench.broker.publish(kDone, "2");
  REQUIRE(kept.wait());
  CHECK(kept.wait()->kind == Kind::accepted);
}

TEST_CASE("a full spool with commands under way is no deadlock and everything flows again", "[D-06]") {
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged), mqtt_device("pump", CommandDone::acknowledged)});
  std::atomic<bool> full{true};
  bench.ingress.answer_by(
      [&](const Telemetry&) { return full ? Admission::throttled(20ms, "full") : Admission::safe(); });
  bench.run();
  const auto device = bench.broker.subscribe("device", "plant/+/cmd", "%p");
  for (int i = 0; i < 10; ++i) bench.broker.publish(kState, std::to_string(i));
  REQUIRE(bench.ingress.wait_count(3));
  auto boiler = bench.deliver(Bench::command("boiler", 1, 60s));
  auto pump = bench.deliver(Bench::command("pump", 2, 60s));
  const auto refusals = bench.ingress.count();
  REQUIRE(bench.ingress.wait_count(refusals + 3));
  full = false;
  REQUIRE(boiler.wait());
  REQUIRE(pump.wait());
  CHECK(boiler.wait()->kind == Kind::accepted);
  CHECK(pump.wait()->kind == Kind::accepted);
  CHECK(bench.broker.log().wait_line("Received PUBACK from trunkline", 10));
}

TEST_CASE("a device with a beat is reachable while it is heard and away when it falls silent", "[C-02]") {
  auto map = mqtt_device("boiler");
  map.expect_every = 200ms;
  Bench bench({map, mqtt_device("pump")});
  bench.ingress.answer_by(always_safe);
  bench.run(false);
  REQUIRE(bench.ingress.wait_presence(device_id("pump"), Presence::reachable));
  CHECK(bench.ingress.presence_of(device_id("boiler")) == Presence::away);
  auto early = bench.deliver(Bench::command("boiler", 1, 60s));
  REQUIRE(early.wait());
  CHECK(early.wait()->kind == Kind::released);
  bench.broker.publish(kState, "here");
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  auto waiting = bench.deliver(Bench::command("boiler", 2, 60s));
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::away));
  REQUIRE(waiting.wait());
  CHECK(waiting.wait()->kind == Kind::released);
}

TEST_CASE("commands for nobody, without a topic or after the stop are answered", "[C-01]") {
  auto deaf = mqtt_device("deaf");
  deaf.mqtt->command.reset();
  Bench bench({mqtt_device("boiler"), deaf});
  bench.run();
  // A reload may take a device away or bring it while its command is on the way.
  CHECK(bench.deliver(Bench::command("ghost", 1, 60s)).wait()->kind == Kind::released);
  CHECK(bench.deliver(Bench::command("deaf", 1, 60s)).wait()->kind == Kind::rejected);
  auto outstanding = bench.deliver(Bench::command("boiler", 1, 60s));
  bench.adapter->stop(in(200ms));
  CHECK(outstanding.wait(0ms)->kind == Kind::released);
  CHECK(bench.deliver(Bench::command("boiler", 2, 60s)).wait(0ms)->kind == Kind::released);
}
