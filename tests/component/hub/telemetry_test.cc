// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hub/rig.h"

using namespace trunkline;
using namespace trunkline::tests;
using SendResult = Uplink::SendResult;
using Kind = Outcome::Kind;

TEST_CASE("three devices send over one connection, each as itself") {
  Rig rig;
  rig.connect();
  std::vector<DeviceSlot> slots;
  for (const auto* id : {"boiler-7", "scale-2", "tank%41#3"}) slots.push_back(rig.add(id));
  for (const auto slot : slots) rig.online(slot);
  for (const auto slot : slots) CHECK(rig.send(slot, "from " + rig.id(slot).text()) == SendResult::sent);
  for (const auto slot : slots) {
    REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == 1; }));
    CHECK(rig.events(slot).outcomes[0].second.kind == Kind::accepted);
    const auto arrived = rig.server->arrivals(rig.id(slot).text());
    REQUIRE(arrived.size() == 1);
    CHECK(arrived[0].body == "from " + rig.id(slot).text());
    CHECK(arrived[0].content_type == "text/plain");
    CHECK(arrived[0].message_id == message_id("00112233445566778899aabbccddeeff", rig.events(slot).outcomes[0].first));
  }
  CHECK(rig.server->connections_ever() == 1);
}

TEST_CASE("messages of a device arrive in the order sent", "[D-03]") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  rig.online(slot);
  constexpr std::size_t kCount = 3000;  // beyond the hub's credit, and beyond the outgoing limit
  std::size_t sent = 0;
  const auto fill = [&] {
    while (sent < kCount && rig.link->send(slot, rig.reading(slot, std::to_string(sent))) == SendResult::sent) ++sent;
  };
  int sendable = -1;
  REQUIRE(rig.until([&] {
    if (rig.events(slot).sendable != sendable) {
      sendable = rig.events(slot).sendable;
      fill();
    }
    return rig.events(slot).outcomes.size() >= kCount;
  }));
  CHECK(sendable > 0);
  const auto arrived = rig.server->arrivals("d");
  REQUIRE(arrived.size() == kCount);
  for (std::size_t i = 0; i < kCount; ++i) CHECK(arrived[i].body == std::to_string(i));
}

TEST_CASE("every outcome comes with the position of its message") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  rig.online(slot);
  const auto outcome_of = [&](const std::string& fault) {
    if (!fault.empty()) rig.control(fault);
    const auto before = rig.events(slot).outcomes.size();
    REQUIRE(rig.send(slot, "x") == SendResult::sent);
    REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == before + 1; }));
    return rig.events(slot).outcomes.back().second;
  };
  CHECK(outcome_of("").kind == Kind::accepted);
  const auto rejected = outcome_of(
      R"({"op":"refuse_messages","device":"d","outcome":"rejected","condition":"amqp:not-allowed","description":"no"})");
  CHECK(rejected.kind == Kind::rejected);
  CHECK(rejected.condition == "amqp:not-allowed");
  CHECK(rejected.description == "no");
  CHECK(outcome_of(R"({"op":"refuse_messages","device":"d","outcome":"released"})").kind == Kind::released);
  const auto modified = outcome_of(R"({"op":"refuse_messages","device":"d","outcome":"modified"})");
  CHECK(modified.kind == Kind::modified);
  CHECK_FALSE(modified.undeliverable_here);
  const auto undeliverable =
      outcome_of(R"({"op":"refuse_messages","device":"d","outcome":"modified","undeliverable_here":true})");
  CHECK(undeliverable.undeliverable_here);
  CHECK(outcome_of("").kind == Kind::accepted);
}

TEST_CASE("a withheld settlement is an outcome only once it comes") {
  Rig rig;
  rig.connect();
  const auto held = rig.add("held");
  const auto free = rig.add("free");
  rig.online(held);
  rig.online(free);
  rig.control(R"({"op":"withhold","device":"held","on":true})");
  REQUIRE(rig.send(held, "1") == SendResult::sent);
  REQUIRE(rig.server->wait_arrivals("held", 1, std::chrono::seconds(0)) == false);
  REQUIRE(rig.until([&] { return rig.server->arrival_count("held") == 1; }));
  REQUIRE(rig.send(free, "2") == SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(free).outcomes.size() == 1; }));
  CHECK(rig.events(held).outcomes.empty());
  rig.control(R"({"op":"withhold","device":"held","on":false})");
  REQUIRE(rig.until([&] { return rig.events(held).outcomes.size() == 1; }));
  CHECK(rig.events(held).outcomes[0].second.kind == Kind::accepted);
}

TEST_CASE("without credit nothing is sent until the hub gives some") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  rig.online(slot);
  REQUIRE(rig.send(slot, "first") == SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == 1; }));
  rig.control(R"({"op":"credit","device":"d","zero":true})");
  auto result = SendResult::sent;
  REQUIRE(rig.until([&] {
    rig.run_for(std::chrono::milliseconds(1));
    result = rig.link->send(slot, rig.reading(slot, "late"));
    return result != SendResult::sent;
  }));
  CHECK(result == SendResult::no_credit);
  const auto before = rig.events(slot).sendable;
  rig.control(R"({"op":"credit","device":"d","zero":false})");
  REQUIRE(rig.until([&] { return rig.events(slot).sendable > before; }));
  CHECK(rig.link->send(slot, rig.reading(slot, "again")) == SendResult::sent);
}

TEST_CASE("bytes beyond the outgoing limit wait until earlier ones have left") {
  Rig rig([](auto& options) { options.session_outgoing_limit = 10'000; });
  rig.connect();
  const auto slot = rig.add("d");
  rig.online(slot);
  REQUIRE(rig.send(slot, std::string(20'000, 'x')) == SendResult::sent);
  CHECK(rig.link->send(slot, rig.reading(slot, "y")) == SendResult::blocked);
  const auto before = rig.events(slot).sendable;
  REQUIRE(rig.until([&] { return rig.events(slot).sendable > before; }));
  CHECK(rig.link->send(slot, rig.reading(slot, "y")) == SendResult::sent);
}

TEST_CASE("a device that is not attached sends nothing") {
  Rig rig;
  const auto slot = rig.add("d");
  CHECK(rig.link->send(slot, rig.reading(slot, "x")) == SendResult::detached);
  rig.connect();
  CHECK(rig.link->send(slot, rig.reading(slot, "x")) == SendResult::detached);
  rig.authorise(slot);
  REQUIRE(rig.until([&] { return rig.events(slot).authorised == 1; }));
  CHECK(rig.link->send(slot, rig.reading(slot, "x")) == SendResult::detached);
}
