// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hub/odd_rig.h"

#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/map.hpp>
#include <proton/message.hpp>
#include <proton/symbol.hpp>
#include <proton/value.hpp>

using namespace trunkline;
using namespace trunkline::tests;
using Kind = LinkFault::Kind;

namespace {

std::string command_bytes() {
  proton::message message;
  message.body(proton::binary("open"));
  message.message_annotations().put(proton::symbol("x-opt-sequence-number"), std::uint64_t{5});
  std::vector<char> bytes;
  message.encode(bytes);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a command that cannot be read is rejected, and touches nothing else", "[I-01]") {
  OddRig rig;
  rig.command_link();
  for (const auto& bytes : {std::string(), std::string("garbage"), std::string("\0\x53\x75\xA0\1x", 6)}) {
    rig.hub.send_command(bytes);
    REQUIRE(rig.until([&] { return rig.hub.command_state() != 0; }));
    CHECK(rig.hub.command_state() == PN_REJECTED);
  }
  CHECK(rig.events(rig.slot).commands.empty());
  rig.hub.send_command(command_bytes());
  REQUIRE(rig.until([&] { return rig.events(rig.slot).commands.size() == 1; }));
  CHECK(rig.lost.empty());
}

TEST_CASE("an outcome is settled by whom the link's settle mode says", "[C-01]") {
  OddRig rig;
  const auto mode = GENERATE(PN_RCV_FIRST, PN_RCV_SECOND);
  rig.hub.settle_mode = mode;
  rig.command_link();
  rig.hub.send_command(command_bytes());
  REQUIRE(rig.until([&] { return rig.events(rig.slot).commands.size() == 1; }));
  rig.link->settle(rig.events(rig.slot).commands[0].second, Outcome::accepted());
  REQUIRE(rig.until([&] { return rig.hub.command_state() == PN_ACCEPTED; }));
  CHECK(rig.hub.command_settled() == (mode == PN_RCV_FIRST));
  rig.hub.settle_command();
  rig.hub.send_command(command_bytes());
  REQUIRE(rig.until([&] { return rig.events(rig.slot).commands.size() == 2; }));
  CHECK(rig.lost.empty());
}

TEST_CASE("a command whose lock ended takes no outcome any more") {
  OddRig rig;
  rig.command_link();
  rig.hub.send_command(command_bytes());
  REQUIRE(rig.until([&] { return rig.events(rig.slot).commands.size() == 1; }));
  rig.hub.settle_command();
  rig.run_for(std::chrono::milliseconds(50));
  rig.link->settle(rig.events(rig.slot).commands[0].second, Outcome::accepted());
  rig.hub.send_command(command_bytes());
  REQUIRE(rig.until([&] { return rig.events(rig.slot).commands.size() == 2; }));
  CHECK(rig.lost.empty());
}

TEST_CASE("an answer may come before the disposition of its request") {
  OddRig rig;
  rig.connect();
  rig.authorise(rig.slot);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).authorised == 1; }));
  rig.authorise(rig.slot);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).authorised == 2; }));
  CHECK(rig.events(rig.slot).refused.empty());
}

TEST_CASE("a put-token whose transfer is rejected is refused without waiting for an answer") {
  OddRig rig;
  rig.hub.reject_put_token = true;
  rig.connect();
  rig.authorise(rig.slot);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).refused.size() == 1; }));
  CHECK(rig.events(rig.slot).refused[0].kind == Kind::protocol);
  CHECK(rig.lost.empty());
}

TEST_CASE("an attach that is never answered is that device's matter", "[I-01]") {
  OddRig rig([](auto& options) { options.put_token_timeout = Milliseconds(200); });
  rig.hub.answer_device_attach = false;
  rig.connect();
  rig.authorise(rig.slot);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).authorised == 1; }));
  rig.link->attach(rig.slot, DeviceLink::telemetry);
  REQUIRE(rig.until([&] { return !rig.events(rig.slot).detached.empty(); }));
  CHECK(rig.events(rig.slot).detached[0].second.kind == Kind::timeout);
  CHECK(rig.lost.empty());
}

TEST_CASE("a hub that refuses $cbs is a lost connection") {
  OddRig rig;
  rig.hub.refuse_cbs = true;
  rig.link->open();
  REQUIRE(rig.until([&] { return !rig.lost.empty(); }));
  CHECK(rig.lost[0].condition == "amqp:unauthorized-access");
  CHECK(rig.ready == 0);
}

TEST_CASE("a hub that falls silent after its open is left at the limit", "[R-01]") {
  OddRig rig([](auto& options) { options.handshake_timeout = Milliseconds(300); });
  rig.hub.silent_after_open = true;
  rig.link->open();
  REQUIRE(rig.until([&] { return !rig.lost.empty(); }));
  CHECK(rig.lost[0].kind == Kind::timeout);
  CHECK(rig.ready == 0);
}

TEST_CASE("a throttled message is released with the hub's patience, and a hub in trouble counts an attempt", "[D-04]") {
  OddRig rig;
  rig.connect();
  rig.online(rig.slot);
  const auto outcome_of = [&](const amqp::Condition& condition) {
    rig.hub.reject_telemetry = condition;
    const auto before = rig.events(rig.slot).outcomes.size();
    REQUIRE(rig.send(rig.slot, "x") == Uplink::SendResult::sent);
    REQUIRE(rig.until([&] { return rig.events(rig.slot).outcomes.size() == before + 1; }));
    return rig.events(rig.slot).outcomes.back().second;
  };
  const auto throttled = outcome_of({"com.microsoft:device-container-throttled", "slow", {{"retry-after", "2"}}});
  CHECK(throttled.kind == Outcome::Kind::released);
  CHECK(throttled.retry_after == Milliseconds(2'000));
  CHECK(throttled.description.find("slow") != std::string::npos);
  CHECK(outcome_of({"com.microsoft:timeout", "later"}).kind == Outcome::Kind::modified);
  CHECK(outcome_of({"amqp:not-allowed", "never"}).kind == Outcome::Kind::rejected);
}

TEST_CASE("a refused token says how long the hub wants to be left alone") {
  OddRig rig;
  rig.hub.token_status = 429;
  rig.hub.token_text = "Too many";
  rig.hub.token_extras["Retry-After"] = std::uint32_t{9};
  rig.connect();
  rig.authorise(rig.slot);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).refused.size() == 1; }));
  CHECK(rig.events(rig.slot).refused[0].kind == Kind::throttled);
  CHECK(rig.events(rig.slot).refused[0].retry_after == Milliseconds(9'000));
}

TEST_CASE("a state that is no outcome says nothing, and the settlement without one is a release", "[D-04]") {
  OddRig rig;
  rig.hub.keep_telemetry = true;
  rig.connect();
  rig.online(rig.slot);
  REQUIRE(rig.send(rig.slot, "x") == Uplink::SendResult::sent);
  REQUIRE(rig.until([&] { return rig.hub.kept != nullptr; }));
  pn_delivery_update(rig.hub.kept, PN_RECEIVED);
  rig.hub.wake();
  rig.run_for(std::chrono::milliseconds(50));
  CHECK(rig.events(rig.slot).outcomes.empty());
  SECTION("settled") {
    pn_delivery_settle(rig.hub.kept);
  }
  SECTION("accepted, and settled later") {
    pn_delivery_update(rig.hub.kept, PN_ACCEPTED);
    rig.hub.wake();
    REQUIRE(rig.until([&] { return rig.events(rig.slot).outcomes.size() == 1; }));
    CHECK(rig.events(rig.slot).outcomes[0].second.kind == Outcome::Kind::accepted);
    rig.events(rig.slot).outcomes.clear();
    pn_delivery_settle(rig.hub.kept);
    rig.hub.keep_telemetry = false;
    REQUIRE(rig.send(rig.slot, "y") == Uplink::SendResult::sent);
  }
  rig.hub.wake();
  REQUIRE(rig.until([&] { return rig.events(rig.slot).outcomes.size() == 1; }));
  rig.run_for(std::chrono::milliseconds(20));
  CHECK(rig.events(rig.slot).outcomes.size() == 1);
  CHECK(rig.lost.empty());
}
