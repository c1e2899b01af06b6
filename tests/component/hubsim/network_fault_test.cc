// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

TEST_CASE("connections to come are redirected to the second address, which takes them") {
  HubFixture fixture({}, {"127.0.0.1:0"});
  const auto addresses = fixture.hub->addresses();
  REQUIRE(addresses.size() == 2);
  CHECK(fixture.ask(R"({"op":"redirect","count":1})").at("to").as_string() == addresses[1].c_str());
  RawClient client(*fixture.hub, true);
  client.connect();
  REQUIRE(client.until([&client] { return client.ended.has_value(); }));
  CHECK(client.ended->condition == "amqp:connection:redirect");
  CHECK(client.ended_info.find(fixture.hub->host()) != std::string::npos);
  CHECK(client.ended_info.find("127.0.0.1") != std::string::npos);
  CHECK(client.ended_info.find(addresses[1].substr(addresses[1].find(':') + 1)) != std::string::npos);
  RawClient there(*fixture.hub, true);
  CHECK(there.connect(addresses[1]));
  CHECK(there.put_device_token("d1", kKey) == 200);
  // One was asked for, so the next is let in.
  RawClient next(*fixture.hub, true);
  REQUIRE(next.connect());
  CHECK(next.put_device_token("d1", kKey) == 200);
  CHECK(fixture.ask(R"({"op":"status"})").at("redirects").as_int64() == 1);
}

TEST_CASE("live connections are redirected where the test wants, and none after it is over") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  const auto answer = fixture.ask(R"({"op":"redirect","live":true,"to":"127.0.0.9:1","hostname":"evil.example"})");
  CHECK(answer.at("redirected").as_int64() == 1);
  REQUIRE(client.until([&client] { return client.ended.has_value(); }));
  CHECK(client.ended_info.find("evil.example") != std::string::npos);
  fixture.ask(R"({"op":"redirect","on":false})");
  RawClient again(*fixture.hub, true);
  fixture.attach_d1(again, 1);
}

TEST_CASE("a black hole keeps TCP up and moves nothing, then goes on where it stopped") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  RawClient other(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  REQUIRE(other.connect());
  const auto first = fixture.ask(R"({"op":"connections"})").at("connections").at(0).at("connection").as_int64();
  fixture.ask(R"({"op":"blackhole","for_ms":60000,"connection":)" + std::to_string(first) + "}");
  client.send_later(kUp, telemetry("m1", "a"));
  CHECK_FALSE(client.until([&client] { return !client.links[kUp].outcomes.empty() || client.ended; }, 300ms));
  CHECK(fixture.hub->arrival_count("d1") == 0);
  CHECK(other.put_device_token("d2", kKey) == 200);
  fixture.ask(R"({"op":"blackhole","for_ms":0})");
  CHECK(client.until([&client] { return client.links[kUp].outcomes.size() == 1; }));
  CHECK(client.send(kUp, telemetry("m2", "b")) == "accepted");
}

TEST_CASE("a black hole ends by itself") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  const auto start = std::chrono::steady_clock::now();
  fixture.ask(R"({"op":"blackhole","for_ms":200})");
  CHECK(client.send(kUp, telemetry("m1", "a")) == "accepted");
  CHECK(std::chrono::steady_clock::now() - start >= 200ms);
}

TEST_CASE("a hub can finish TLS and never speak AMQP") {
  HubFixture fixture;
  fixture.ask(R"({"op":"listen","mode":"tls"})");
  RawClient mute(*fixture.hub, true);
  bool connected = true;
  // The client waits for an open that does not come.
  std::thread waiting([&mute, &connected] { connected = mute.connect(); });
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  const auto secure = [&fixture] {
    const auto list = fixture.ask(R"({"op":"connections"})").at("connections").as_array();
    return !list.empty() && list[0].at("secure").as_bool();
  };
  while (!secure() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  fixture.ask(R"({"op":"listen","mode":"accept"})");
  waiting.join();
  CHECK_FALSE(connected);
  CHECK(mute.ended);
  RawClient client(*fixture.hub, true);
  CHECK(client.connect());
}

TEST_CASE("a network fault that makes no sense is refused with the reason") {
  HubFixture fixture;
  const auto error = [&fixture](const std::string& request) {
    return std::string(json::parse(fixture.hub->control(request)).at("error").as_string());
  };
  CHECK(error(R"({"op":"redirect"})") == "to is missing, and the hub has one address only");
  CHECK(error(R"({"op":"blackhole","for_ms":-1})") == "for_ms is out of range");
  CHECK(error(R"({"op":"listen","mode":"loud"})") == "mode is accept, refuse, silent or tls");
}
