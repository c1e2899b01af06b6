// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/hub_fixture.h"
#include "tests/hubsim/message.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

TEST_CASE("telemetry is accepted and recorded with everything that came with it") {
  HubFixture fixture;
  RawClient client(*fixture.hub, GENERATE(true, false));
  fixture.attach_d1(client, 0);
  auto message = telemetry("m1", "{\"t\":1}");
  message.content_type("application/json");
  message.content_encoding("utf-8");
  message.correlation_id(std::string("c1"));
  message.properties().put("site", "north");
  CHECK(client.send(kUp, message) == "accepted");
  CHECK(client.send(kUp, telemetry("m2", std::string("\xFF\x00", 2))) == "accepted");

  const auto arrivals = fixture.hub->arrivals("d1");
  REQUIRE(arrivals.size() == 2);
  CHECK(arrivals[0].message_id == "m1");
  CHECK(arrivals[0].correlation_id == "c1");
  CHECK(arrivals[0].content_type == "application/json");
  CHECK(arrivals[0].content_encoding == "utf-8");
  CHECK(arrivals[0].properties == Properties{{"site", "north"}});
  CHECK(arrivals[0].body == "{\"t\":1}");
  CHECK(arrivals[0].sequence == 1);
  CHECK(arrivals[0].connection == 1);
  CHECK(arrivals[1].body == std::string("\xFF\x00", 2));
  CHECK(fixture.hub->arrivals("d2").empty());

  const auto listed = fixture.ask(R"({"op":"arrivals","device":"d1","after":1})");
  REQUIRE(listed.at("arrivals").as_array().size() == 1);
  CHECK(listed.at("arrivals").at(0).at("body_base64").as_string() == "/wA=");
  CHECK(listed.at("next").as_int64() == 2);
}

TEST_CASE("credit is topped up, so that many more messages pass than were first allowed") {
  HubLimits limits;
  limits.telemetry_credit = 10;
  HubFixture fixture(limits);
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 0);
  for (int i = 0; i < 100; ++i) CHECK(client.send(kUp, telemetry("m" + std::to_string(i), "x")) == "accepted");
  CHECK(fixture.hub->wait_arrivals("d1", 100, 5s));
  CHECK(fixture.hub->arrival_count() == 100);
}

TEST_CASE("a message over 256 KiB is rejected, one over the link's limit costs the link") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 0);
  CHECK(client.send(kUp, telemetry("", std::string(262'144, 'x'))) == "accepted");
  CHECK(client.send(kUp, telemetry("", std::string(262'145, 'x'))) == "rejected amqp:link:message-size-exceeded");
  CHECK(client.send(kUp, telemetry("", std::string(1'100'000, 'x'))) == "closed amqp:link:message-size-exceeded");
  CHECK(fixture.hub->arrival_count("d1") == 1);
}

TEST_CASE("a batch is taken apart and settled as one") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 0);
  std::string batch;
  for (const auto* id : {"b1", "b2", "b3"}) {
    Message inner;
    inner.message_id = id;
    inner.body = std::string("body of ") + id;
    std::string bytes;
    append_properties(bytes, inner);
    append_data(bytes, inner.body);
    append_data(batch, bytes);
  }
  client.send_bytes(kUp, batch);
  REQUIRE(client.until([&client] { return !client.links[kUp].outcomes.empty(); }));
  CHECK(client.links[kUp].outcomes == std::vector<std::string>{"accepted"});
  const auto arrivals = fixture.hub->arrivals("d1");
  REQUIRE(arrivals.size() == 3);
  CHECK(arrivals[2].message_id == "b3");
  CHECK(arrivals[2].body == "body of b3");
}

TEST_CASE("bytes that are no message are rejected and the connection lives on") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 0);
  client.send_bytes(kUp, "this is not AMQP");
  REQUIRE(client.until([&client] { return client.links[kUp].outcomes.size() == 1; }));
  client.send_bytes(kUp, "");
  REQUIRE(client.until([&client] { return client.links[kUp].outcomes.size() == 2; }));
  CHECK(client.links[kUp].outcomes ==
        std::vector<std::string>{"rejected amqp:decode-error", "rejected amqp:decode-error"});
  CHECK(client.send(kUp, telemetry("m1", "x")) == "accepted");
}
