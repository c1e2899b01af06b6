// SPDX-License-Identifier: Apache-2.0
#include <proton/uuid.hpp>

#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

TEST_CASE("a token is answered 200 with the message-id in its own type, after the request was settled") {
  HubFixture fixture;
  RawClient client(*fixture.hub, GENERATE(true, false));
  REQUIRE(client.connect());
  const auto token = make_token(fixture.hub->host() + "/devices/d1", kKey, 1h);
  CHECK(client.put_token(token, proton::message_id(std::string("text"))) == 200);
  CHECK(client.put_token(token, proton::message_id(std::uint64_t{77})) == 200);
  CHECK(client.put_token(token, proton::message_id(proton::uuid::random())) == 200);
  CHECK(client.order == std::vector<std::string>{"settled", "answer", "settled", "answer", "settled", "answer"});
  CHECK(client.incoming.back().tag.size() == 4);
}

TEST_CASE("a bad token is refused with the hub's status and the connection stays") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  const auto host = fixture.hub->host();
  CHECK(client.put_token(make_token(host + "/devices/d1", base64_encode("wrong"), 1h)) == 401);
  CHECK(client.put_token(make_token(host + "/devices/d1", kKey, -1h)) == 401);
  CHECK(client.put_token(make_token(host + "/devices/nobody", kKey, 1h)) == 404);
  CHECK(client.put_token("nonsense") == 400);
  CHECK(client.put_device_token("d1", kKey) == 200);
}

TEST_CASE("an attach before its token, or of an unknown device, is refused with a null terminus") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  CHECK(client.attach_sender(kUp) == "amqp:unauthorized-access");
  CHECK(client.links[kUp].null_terminus);
  CHECK(client.links[kUp].condition.description.find("401002") != std::string::npos);
  CHECK(client.attach_receiver(kDown, 1) == "amqp:unauthorized-access");
  CHECK(client.attach_sender("/devices/nobody/messages/events") == "amqp:not-found");
  CHECK(client.attach_sender("/nowhere") == "amqp:not-found");
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  CHECK(client.attach_sender(kUp).empty());
  CHECK(client.attach_sender("/devices/d2/messages/events") == "amqp:unauthorized-access");
}

TEST_CASE("a disabled device is refused") {
  HubFixture fixture;
  fixture.ask(R"({"op":"disable_device","device":"d1"})");
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  CHECK(client.put_device_token("d1", kKey) == 401);
  REQUIRE(client.put_token(fixture.owner_token()) == 200);
  CHECK(client.attach_sender(kUp) == "amqp:not-found");
  fixture.ask(R"({"op":"enable_device","device":"d1"})");
  CHECK(client.attach_sender(kUp).empty());
}

TEST_CASE("a policy's token attaches every device, with all six links") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  REQUIRE(client.put_token(fixture.owner_token()) == 200);
  for (const std::string device : {"d1", "d2"}) {
    CHECK(client.attach_sender("/devices/" + device + "/messages/events").empty());
    CHECK(client.attach_receiver("/devices/" + device + "/messages/devicebound", 1).empty());
    for (const auto* pair : {"/twin", "/methods/devicebound"}) {
      CHECK(client.attach_sender("/devices/" + device + pair).empty());
      CHECK(client.attach_receiver("/devices/" + device + pair, 1).empty());
    }
  }
  const auto answer = fixture.ask(R"({"op":"devices","device":"d1"})");
  CHECK(answer.at("devices").at(0).at("links").as_array().size() == 6);
}

TEST_CASE("an expired token detaches its device's links and no other") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  // Seconds are cut off in the token, so this one lives between two and three seconds.
  REQUIRE(client.put_token(make_token(fixture.hub->host() + "/devices/d1", kKey, 3s)) == 200);
  REQUIRE(client.put_device_token("d2", kKey) == 200);
  REQUIRE(client.attach_sender(kUp).empty());
  REQUIRE(client.attach_sender("/devices/d2/messages/events").empty());
  REQUIRE(client.until([&client] { return client.links[kUp].closed; }));
  CHECK(client.links[kUp].condition.name == "amqp:unauthorized-access");
  CHECK(client.links[kUp].condition.description == "Token Invalid.");
  CHECK(client.send("/devices/d2/messages/events", telemetry("m1", "x")) == "accepted");
  CHECK(client.attach_sender(kUp) == "amqp:unauthorized-access");
}

TEST_CASE("a renewed token keeps the links past the first one's end") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  REQUIRE(client.put_token(make_token(fixture.hub->host() + "/devices/d1", kKey, 3s)) == 200);
  REQUIRE(client.attach_sender(kUp).empty());
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  // d2's token ends later than d1's first one would have; its end shows that the time has come.
  REQUIRE(client.put_token(make_token(fixture.hub->host() + "/devices/d2", kKey, 4s)) == 200);
  REQUIRE(client.attach_sender("/devices/d2/messages/events").empty());
  REQUIRE(client.until([&client] { return client.links["/devices/d2/messages/events"].closed; }));
  CHECK_FALSE(client.links[kUp].closed);
  CHECK(client.send(kUp, telemetry("m1", "x")) == "accepted");
}

TEST_CASE("a connection holds so many tokens and no more, renewals excepted") {
  HubLimits limits;
  limits.tokens_per_connection = 1;
  HubFixture fixture(limits);
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  CHECK(client.put_device_token("d1", kKey) == 200);
  CHECK(client.put_device_token("d2", kKey) == 500);
  CHECK(client.put_device_token("d1", kKey) == 200);
}

TEST_CASE("a thousand devices hold their six links each on one connection") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  REQUIRE(client.put_token(fixture.owner_token()) == 200);
  const auto before = client.attached;
  for (int i = 0; i < 1000; ++i) {
    const auto device = "many-" + std::to_string(i);
    fixture.hub->add_device(device, kKey);
    client.open_device(device);
  }
  REQUIRE(client.until([&client, before] { return client.attached - before == 6000; }, 60s));
  const auto last = fixture.ask(R"({"op":"devices","device":"many-999"})");
  CHECK(last.at("devices").at(0).at("links").as_array().size() == 6);
  CHECK(client.send("/devices/many-500/messages/events", telemetry("m1", "x")) == "accepted");
}
