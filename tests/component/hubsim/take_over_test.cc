// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;

TEST_CASE("the newest receive link of a device wins over the one of another connection") {
  HubFixture fixture;
  RawClient older(*fixture.hub, true);
  RawClient newer(*fixture.hub, true);
  const std::string address =
      GENERATE("/devices/d1/messages/devicebound", "/devices/d1/twin", "/devices/d1/methods/devicebound");
  for (auto* client : {&older, &newer}) {
    REQUIRE(client->connect());
    REQUIRE(client->put_device_token("d1", kKey) == 200);
  }
  REQUIRE(older.attach_receiver(address, 1).empty());
  REQUIRE(newer.attach_receiver(address, 1).empty());
  REQUIRE(older.until([&] { return older.links[address].closed; }));
  CHECK(older.links[address].condition.name == "amqp:internal-error");
  CHECK(older.links[address].condition.description == "Another AMQP Client has opened a Receive Link");
  CHECK_FALSE(newer.links[address].closed);
  CHECK(fixture.ask(R"({"op":"status"})").at("take_overs").as_int64() == 1);
  CHECK(fixture.ask(R"({"op":"devices","device":"d1"})").at("devices").at(0).at("take_overs").as_int64() == 1);
}

TEST_CASE("sending links are not taken over") {
  HubFixture fixture;
  RawClient older(*fixture.hub, true);
  RawClient newer(*fixture.hub, true);
  for (auto* client : {&older, &newer}) {
    REQUIRE(client->connect());
    REQUIRE(client->put_device_token("d1", kKey) == 200);
    REQUIRE(client->attach_sender(kUp).empty());
  }
  CHECK(older.send(kUp, telemetry("m1", "a")) == "accepted");
  CHECK(newer.send(kUp, telemetry("m2", "b")) == "accepted");
}

TEST_CASE("a take-over is told in the other words that are known of the hub") {
  HubFixture fixture;
  const std::string as = GENERATE("not-allowed", "link-creation-conflict");
  fixture.ask(R"({"op":"take_over","as":")" + as + "\"}");
  RawClient older(*fixture.hub, true);
  RawClient newer(*fixture.hub, true);
  fixture.attach_d1(older, 1);
  fixture.attach_d1(newer, 1);
  REQUIRE(older.until([&older] { return older.links[kDown].closed; }));
  const auto& condition = older.links[kDown].condition;
  CHECK(condition.name == (as == "not-allowed" ? "amqp:not-allowed" : "com.microsoft:link-creation-conflict"));
  CHECK(condition.description.find("Another AMQP Client has opened a Receive Link") != std::string::npos);
}
