// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

TEST_CASE("connections are dropped by close, by FIN and by RST") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  const std::string how = GENERATE("close", "tcp", "rst");
  CHECK(fixture.ask(R"({"op":"drop","how":")" + how + "\"}").at("dropped").as_int64() == 1);
  REQUIRE(client.until([&client] { return client.ended.has_value(); }));
  CHECK((client.ended->condition == "amqp:connection:forced") == (how == "close"));
  fixture.ask(R"({"op":"wait_connections","count":0})");
  CHECK(fixture.hub->connections_ever() == 1);
  RawClient again(*fixture.hub, true);
  fixture.attach_d1(again, 1);
  CHECK(fixture.hub->connections_now() == 1);
  CHECK(fixture.hub->connections_ever() == 2);
}

TEST_CASE("the hub can refuse connections and come back on the same port") {
  HubFixture fixture;
  fixture.ask(R"({"op":"listen","mode":"refuse"})");
  RawClient refused(*fixture.hub, true);
  CHECK_FALSE(refused.connect());
  fixture.ask(R"({"op":"listen","mode":"accept"})");
  RawClient client(*fixture.hub, true);
  CHECK(client.connect());
}

TEST_CASE("withheld settlements come when they are resumed") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  const std::string whom = GENERATE("", R"("device":"d1",)");
  fixture.ask(R"({"op":"withhold",)" + whom + R"("on":true})");
  client.send_later(kUp, telemetry("m1", "a"));
  client.send_later(kUp, telemetry("m2", "b"));
  // The answer to a token shows that everything before it was taken in and nothing was settled.
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  CHECK(fixture.hub->arrival_count("d1") == 2);
  CHECK(client.links[kUp].outcomes.empty());
  fixture.ask(R"({"op":"withhold",)" + whom + R"("on":false})");
  REQUIRE(client.until([&client] { return client.links[kUp].outcomes.size() == 2; }));
  CHECK(client.send(kUp, telemetry("m3", "c")) == "accepted");
}

TEST_CASE("the next messages are refused as asked, and those after them are not") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  fixture.ask(
      R"({"op":"refuse_messages","device":"d1","outcome":"rejected","count":2,"condition":"amqp:not-allowed"})");
  CHECK(client.send(kUp, telemetry("m1", "a")) == "rejected amqp:not-allowed");
  CHECK(client.send(kUp, telemetry("m2", "a")) == "rejected amqp:not-allowed");
  CHECK(client.send(kUp, telemetry("m3", "a")) == "accepted");
  fixture.ask(R"({"op":"refuse_messages","outcome":"released","count":1})");
  CHECK(client.send(kUp, telemetry("m4", "a")) == "released");
  fixture.ask(R"({"op":"refuse_messages","device":"d1","outcome":"modified","count":1})");
  CHECK(client.send(kUp, telemetry("m5", "a")) == "modified");
  CHECK(fixture.hub->arrival_count("d1") == 1);
}

TEST_CASE("one link is detached, or a session ended, with a condition") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  fixture.ask(R"({"op":"detach","device":"d1","link":"telemetry","condition":"amqp:link:stolen"})");
  REQUIRE(client.until([&client] { return client.links[kUp].closed; }));
  CHECK(client.links[kUp].condition.name == "amqp:link:stolen");
  CHECK_FALSE(client.links[kDown].closed);
  CHECK(client.attach_sender(kUp).empty());
  fixture.ask(R"({"op":"end_session","device":"d1"})");
  CHECK(client.until([&client] { return client.session_ended; }));
  CHECK_FALSE(client.ended);
}

TEST_CASE("credit is taken back and given again") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  fixture.ask(R"({"op":"credit","device":"d1","zero":true})");
  REQUIRE(client.until([&client] { return client.links[kUp].sender.credit() == 0; }));
  client.send_later(kUp, telemetry("m1", "a"));
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  CHECK(fixture.hub->arrival_count("d1") == 0);
  fixture.ask(R"({"op":"credit","device":"d1","zero":false})");
  REQUIRE(client.until([&client] { return client.links[kUp].outcomes.size() == 1; }));
  CHECK(client.send(kUp, telemetry("m2", "a")) == "accepted");
}

TEST_CASE("a device's token is refused with the status that was asked") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  fixture.ask(R"({"op":"refuse_token","device":"d1","status":404})");
  CHECK(client.put_device_token("d1", kKey) == 404);
  CHECK(client.put_device_token("d2", kKey) == 200);
  fixture.ask(R"({"op":"refuse_token","device":"d1","status":0})");
  CHECK(client.put_device_token("d1", kKey) == 200);
}

TEST_CASE("an answer to a token can be late or never come") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  REQUIRE(client.put_device_token("d2", kKey) == 200);
  fixture.ask(R"({"op":"cbs","mode":"delay","delay_ms":300})");
  const auto start = std::chrono::steady_clock::now();
  CHECK(client.put_device_token("d1", kKey) == 200);
  CHECK(std::chrono::steady_clock::now() - start >= 300ms);
  fixture.ask(R"({"op":"cbs","mode":"never"})");
  const auto before = client.incoming.size();
  proton::message request;
  request.properties().put("operation", "put-token");
  client.send_later("$cbs", request);
  REQUIRE(client.until([&client] { return client.links["$cbs"].outcomes.size() == 3; }));
  CHECK_FALSE(client.until([&client, before] { return client.incoming.size() > before; }, 200ms));
}

TEST_CASE("a hub that stops reading takes nothing until it reads again") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  // One read may be under way already; it is used up by the first message.
  fixture.ask(R"({"op":"reading","on":false})");
  client.send_later(kUp, telemetry("m1", "a"));
  client.until([] { return false; }, 100ms);
  client.send_later(kUp, telemetry("m2", "b"));
  CHECK_FALSE(client.until([&client] { return client.links[kUp].outcomes.size() == 2; }, 200ms));
  fixture.ask(R"({"op":"reading","on":true})");
  CHECK(client.until([&client] { return client.links[kUp].outcomes.size() == 2; }));
}

TEST_CASE("removing a device detaches it, and all faults end at once") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  fixture.ask(R"({"op":"withhold"})");
  client.send_later(kUp, telemetry("m1", "a"));
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  CHECK(client.links[kUp].outcomes.empty());
  fixture.ask(R"({"op":"reset_faults"})");
  REQUIRE(client.until([&client] { return client.links[kUp].outcomes.size() == 1; }));
  fixture.ask(R"({"op":"remove_device","device":"d1"})");
  REQUIRE(client.until([&client] { return client.links[kUp].closed && client.links[kDown].closed; }));
  CHECK(client.links[kUp].condition.name == "amqp:not-found");
  CHECK(client.put_device_token("d1", kKey) == 404);
}

TEST_CASE("a request that cannot be served says why") {
  HubFixture fixture;
  const auto error = [&fixture](const std::string& request) {
    const auto answer = json::parse(fixture.hub->control(request)).get_object();
    REQUIRE_FALSE(answer.at("ok").as_bool());
    return std::string(answer.at("error").as_string());
  };
  CHECK(error("nonsense").starts_with("not JSON"));
  CHECK(error("[]") == "a request is a JSON object");
  CHECK(error(R"({"op":"fly"})") == "no such op: fly");
  CHECK(error(R"({"op":"enqueue","device":"x"})") == "no device x");
  CHECK(error(R"({"op":"enqueue"})") == "device is missing");
  CHECK(error(R"({"op":"enqueue","device":"d1","body":1})") == "body must be a string");
  CHECK(error(R"({"op":"wait_arrivals","device":"d1","timeout_ms":1})") == "timed out");
  CHECK(error(R"({"op":"drop","how":"gently"})") == "how is close, tcp or rst");
}
