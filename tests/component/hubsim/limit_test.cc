// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

TEST_CASE("the next attaches are refused as asked, of the link that was meant") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  REQUIRE(client.put_device_token("d2", kKey) == 200);
  const std::string whom = GENERATE("", R"("device":"d1",)");
  fixture.ask(R"({"op":"refuse_attach",)" + whom + R"("link":"telemetry","count":2,"condition":"amqp:not-allowed"})");
  CHECK(client.attach_receiver(kDown, 1).empty());
  CHECK(client.attach_sender(kUp) == "amqp:not-allowed");
  CHECK(client.links[kUp].null_terminus);
  CHECK((client.attach_sender("/devices/d2/messages/events") == "amqp:not-allowed") == whom.empty());
  CHECK((client.attach_sender(kUp) == "amqp:not-allowed") == !whom.empty());
  CHECK(client.attach_sender(kUp).empty());
  CHECK(fixture.ask(R"({"op":"status"})").at("attaches_refused").as_int64() == 2);
}

TEST_CASE("over its rates the hub throttles sends, attaches and tokens, and says when to come again") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  REQUIRE(client.put_device_token("d2", kKey) == 200);
  fixture.ask(R"({"op":"limits","sends_per_s":1,"attaches_per_s":1,"retry_after_ms":1500})");
  const auto throttled = "rejected com.microsoft:device-container-throttled";
  CHECK(client.send(kUp, telemetry("m1", "a")) == "accepted");
  // Within the second, however slow the machine: of three in a row one at least is over the rate.
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> outcomes;
  for (int i = 0; i < 3; ++i) outcomes.push_back(client.send(kUp, telemetry("m2", "a")));
  if (std::chrono::steady_clock::now() - start < 1s)
    CHECK(std::count(outcomes.begin(), outcomes.end(), throttled) >= 2);
  const auto& info = client.links[kUp].outcome_info;
  CHECK(info.find("retry-after") != std::string::npos);
  CHECK(info.find("1500") != std::string::npos);

  CHECK(client.attach_sender("/devices/d2/messages/events").empty());
  const auto refusal = client.attach_receiver("/devices/d2/messages/devicebound", 1);
  CHECK(refusal == "com.microsoft:device-container-throttled");
  const auto& link = client.links["/devices/d2/messages/devicebound"];
  CHECK(link.condition.description.find("429001") != std::string::npos);
  CHECK(link.info.find("1500") != std::string::npos);

  fixture.ask(R"({"op":"limits","tokens_per_s":1})");
  std::vector<int> statuses;
  for (int i = 0; i < 3; ++i) statuses.push_back(client.put_device_token("d1", kKey));
  CHECK(std::count(statuses.begin(), statuses.end(), 429) >= 1);
  CHECK(fixture.ask(R"({"op":"status"})").at("throttled").as_int64() >= 3);
  fixture.ask(R"({"op":"reset_faults"})");
  for (int i = 0; i < 5; ++i) CHECK(client.put_device_token("d1", kKey) == 200);
  for (int i = 0; i < 5; ++i) CHECK(client.send(kUp, telemetry("m3", "a")) == "accepted");
}

TEST_CASE("identities that left a connection still count towards its limit") {
  HubFixture fixture;
  fixture.ask(R"({"op":"limits","max_tokens":2})");
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  fixture.hub->add_device("d3", kKey);
  CHECK(client.put_device_token("d1", kKey) == 200);
  CHECK(client.put_device_token("d2", kKey) == 200);
  fixture.ask(R"({"op":"expire_tokens","device":"d1"})");
  CHECK(client.put_device_token("d3", kKey) == 500);
  CHECK(proton::get<std::string>(client.incoming.back().message.properties().get("status-description")) ==
        "The maximum number of tokens per connection (2) has been reached");
  CHECK(client.put_device_token("d1", kKey) == 200);
  RawClient other(*fixture.hub, true);
  REQUIRE(other.connect());
  CHECK(other.put_device_token("d3", kKey) == 200);
}

TEST_CASE("answers to the tokens of one device are late or never come, those of the others come") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  fixture.ask(R"({"op":"cbs","device":"d1","mode":"delay","delay_ms":400})");
  const auto token = make_token(fixture.hub->host() + "/devices/d1", kKey, 1h);
  REQUIRE(client.put_device_token("d2", kKey) == 200);
  const auto start = std::chrono::steady_clock::now();
  client.send_token(token, proton::message_id(std::string("late")));
  CHECK(client.put_device_token("d2", kKey) == 200);
  REQUIRE(client.wait_incoming(3));
  CHECK(client.incoming.back().message.correlation_id() == proton::message_id(std::string("late")));
  CHECK(std::chrono::steady_clock::now() - start >= 400ms);
  fixture.ask(R"({"op":"cbs","device":"d1","mode":"never"})");
  client.send_token(token, proton::message_id(std::string("lost")));
  CHECK(client.put_device_token("d2", kKey) == 200);
  CHECK_FALSE(client.until([&client] { return client.incoming.size() > 4; }, 200ms));
  fixture.ask(R"({"op":"cbs","device":"d1","mode":"normal"})");
  CHECK(client.put_device_token("d1", kKey) == 200);
}

TEST_CASE("the status counts what a gateway is judged by") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  fixture.ask(R"({"op":"cbs","mode":"delay","delay_ms":200})");
  const auto token = make_token(fixture.hub->host() + "/devices/d1", kKey, 1h);
  for (int i = 0; i < 5; ++i) client.send_token(token, proton::message_id(std::uint64_t(i)));
  REQUIRE(client.wait_incoming(6));
  fixture.ask(R"({"op":"cbs","mode":"normal"})");
  CHECK(client.put_token(make_token(fixture.hub->host() + "/devices/d1", base64_encode("wrong"), 1h)) == 401);
  CHECK(client.attach_sender("/devices/d2/messages/events") == "amqp:unauthorized-access");
  fixture.ask(R"({"op":"expire_tokens"})");
  REQUIRE(client.until([&client] { return client.links[kUp].closed && client.links[kDown].closed; }));
  const auto status = fixture.ask(R"({"op":"status"})");
  CHECK(status.at("max_tokens_outstanding").as_int64() == 5);
  CHECK(status.at("expiry_detaches").as_int64() == 2);
  CHECK(status.at("authorisation_errors").as_int64() == 2);
  CHECK(status.at("rss_bytes").as_int64() > 1'000'000);
  CHECK(status.at("cpu_s").as_double() > 0);
}
