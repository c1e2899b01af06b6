// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <iostream>

#include "tests/component/hub/rig.h"

using namespace trunkline;
using namespace trunkline::tests;
using SendResult = Uplink::SendResult;
using Kind = LinkFault::Kind;

namespace {

// The device still gets a message through.
void check_works(Rig& rig, DeviceSlot slot) {
  const auto before = rig.events(slot).outcomes.size();
  REQUIRE(rig.send(slot, "still here") == SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == before + 1; }));
  CHECK(rig.events(slot).outcomes.back().second.kind == Outcome::Kind::accepted);
  CHECK(rig.events(slot).detached.empty());
  CHECK(rig.lost.empty());
}

}  // namespace

TEST_CASE("a refused token touches that device only", "[I-01]") {
  Rig rig;
  rig.connect();
  const auto good = rig.add("good");
  const auto bad = rig.add("bad");
  rig.wrong_key(bad);
  rig.online(good);
  rig.authorise(bad);
  REQUIRE(rig.until([&] { return !rig.events(bad).refused.empty(); }));
  CHECK(rig.events(bad).refused[0].kind == Kind::unauthorised);
  CHECK(rig.events(bad).authorised == 0);
  check_works(rig, good);
}

TEST_CASE("a token is renewed while the links stay up") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  rig.online(slot);
  rig.authorise(slot);
  REQUIRE(rig.until([&] { return rig.events(slot).authorised == 2; }));
  check_works(rig, slot);
}

TEST_CASE("an expired token ends that device's links only", "[I-01]") {
  Rig rig;
  rig.connect();
  const auto expired = rig.add("expired");
  const auto other = rig.add("other");
  rig.online(expired);
  rig.online(other);
  rig.control(R"({"op":"expire_tokens","device":"expired"})");
  REQUIRE(rig.until([&] { return !rig.events(expired).detached.empty(); }));
  CHECK(rig.events(expired).detached[0].second.kind == Kind::unauthorised);
  check_works(rig, other);
}

TEST_CASE("an attach that the hub refuses is that device's matter", "[I-01]") {
  Rig rig;
  rig.connect();
  const auto gone = rig.add("gone");
  const auto other = rig.add("other");
  rig.online(other);
  rig.authorise(gone);
  REQUIRE(rig.until([&] { return rig.events(gone).authorised == 1; }));
  rig.control(R"({"op":"disable_device","device":"gone"})");
  rig.link->attach(gone, DeviceLink::telemetry);
  REQUIRE(rig.until([&] { return !rig.events(gone).detached.empty(); }));
  CHECK(rig.events(gone).attached[DeviceLink::telemetry] == 0);
  CHECK(rig.events(gone).detached[0].second.kind == Kind::not_found);
  check_works(rig, other);
}

TEST_CASE("a link that the hub detaches can be attached again, and nobody else notices", "[I-01]") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  const auto other = rig.add("other");
  rig.online(slot);
  rig.online(slot, DeviceLink::commands);
  rig.online(other);
  rig.control(R"({"op":"withhold","device":"d","on":true})");
  REQUIRE(rig.send(slot, "unsettled") == SendResult::sent);
  REQUIRE(rig.until([&] { return rig.server->arrival_count("d") == 1; }));
  // The multiplexer answers a detach from within the event.
  rig.when_detached = [&](DeviceSlot detached) { rig.link->detach(detached); };
  rig.control(R"({"op":"detach","device":"d","link":"telemetry","condition":"amqp:link:detach-forced"})");
  REQUIRE(rig.until([&] { return !rig.events(slot).detached.empty(); }));
  CHECK(rig.events(slot).detached[0].first == DeviceLink::telemetry);
  CHECK(rig.events(slot).detached[0].second.kind == Kind::busy);
  CHECK(rig.link->send(slot, rig.reading(slot, "x")) == SendResult::detached);
  rig.control(R"({"op":"withhold","device":"d","on":false})");
  rig.online(slot);
  REQUIRE(rig.send(slot, "again") == SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == 1; }));  // of the second message only
  CHECK(rig.events(slot).detached.size() == 1);
  check_works(rig, other);
}

TEST_CASE("a session that the hub ends takes each of its links, and no other session", "[I-01]") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  const auto other = rig.add("other");
  rig.online(slot);
  rig.online(slot, DeviceLink::commands);
  rig.online(other);
  rig.control(R"({"op":"end_session","device":"d","condition":"amqp:session:window-violation"})");
  REQUIRE(rig.until([&] { return rig.events(slot).detached.size() == 2; }));
  CHECK(rig.events(slot).detached[0].second.kind == Kind::protocol);
  rig.online(slot);
  rig.events(slot).detached.clear();
  check_works(rig, slot);
  check_works(rig, other);
}

TEST_CASE("a device that detaches silently can come back") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  for (int round = 0; round < 5; ++round) {
    rig.online(slot);
    rig.online(slot, DeviceLink::commands);
    rig.link->grant_commands(slot, 1);
    REQUIRE(rig.send(slot, "x") == SendResult::sent);
    rig.link->detach(slot);
  }
  CHECK(rig.events(slot).detached.empty());
  rig.online(slot);
  check_works(rig, slot);
}

TEST_CASE("answers that come late but in time are taken, whatever the order") {
  Rig rig;
  rig.connect();
  rig.control(R"({"op":"cbs","mode":"delay","delay_ms":50})");
  std::vector<DeviceSlot> slots;
  for (int i = 0; i < 70; ++i) slots.push_back(rig.add("d" + std::to_string(i)));
  for (const auto slot : slots) rig.authorise(slot);
  for (const auto slot : slots) REQUIRE(rig.until([&] { return rig.events(slot).authorised == 1; }));
}

TEST_CASE("a put-token that is never answered is a refusal by timeout") {
  Rig rig([](auto& options) { options.put_token_timeout = Milliseconds(100); });
  rig.connect();
  const auto slot = rig.add("d");
  rig.control(R"({"op":"cbs","mode":"never"})");
  rig.authorise(slot);
  REQUIRE(rig.until([&] { return !rig.events(slot).refused.empty(); }));
  CHECK(rig.events(slot).refused[0].kind == Kind::timeout);
  CHECK(rig.lost.empty());

  SECTION("and the connection is given up when several in a row are not answered", "[R-01]") {
    for (int i = 0; i < 2; ++i) {
      rig.authorise(slot);
      rig.until([&] { return rig.events(slot).refused.size() == 2U + static_cast<unsigned>(i) || !rig.lost.empty(); });
    }
    REQUIRE(rig.until([&] { return !rig.lost.empty(); }));
    CHECK(rig.lost[0].kind == Kind::timeout);
    CHECK(rig.lost[0].condition == "trunkline:cbs-stalled");
  }
}

TEST_CASE("a thousand devices are authorised and attached", "[P-05]") {
  Rig rig;
  rig.connect();
  constexpr int kDevices = 1000;
  constexpr DeviceLink kAll[] = {DeviceLink::telemetry, DeviceLink::commands, DeviceLink::methods, DeviceLink::twin};
  std::vector<DeviceSlot> slots;
  for (int i = 0; i < kDevices; ++i) slots.push_back(rig.add("device-" + std::to_string(i)));
  const auto begin = std::chrono::steady_clock::now();
  for (const auto slot : slots) rig.authorise(slot);
  std::size_t asked = 0;
  const auto all = [&] {
    int done = 0;
    for (const auto slot : slots) {
      auto& events = rig.events(slot);
      if (events.authorised == 1) {
        ++events.authorised;
        ++asked;
        for (const auto which : kAll) rig.link->attach(slot, which);
      }
      for (const auto which : kAll) done += events.attached[which];
    }
    return done == 4 * kDevices;
  };
  REQUIRE(rig.until([&] { return rig.run_for(std::chrono::milliseconds(5)), all(); }, std::chrono::seconds(60)));
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(asked == kDevices);
  std::cout << "1000 devices authorised and all six links of each attached in "
            << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms\n";
}
