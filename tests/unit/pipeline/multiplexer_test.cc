// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/multiplexer.h"

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/support/multiplexer_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

using Bench = MultiplexerRig;

Command command(const std::string& device, std::uint64_t sequence) {
  Command out{device_id(device)};
  out.sequence = sequence;
  return out;
}

}  // namespace

TEST_CASE("a device is authorised before its link is attached, and only when it has something to say", "[D-03]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  bench.tick();
  REQUIRE(bench.uplink.opens == 1);
  bench.mux.on_ready({});
  bench.tick();
  REQUIRE(bench.uplink.authorised.empty());
  bench.mux.offer(message("a", 1));
  bench.tick();
  REQUIRE(bench.uplink.authorised == std::vector{slot});
  REQUIRE(bench.uplink.attached.empty());
  bench.mux.on_authorised(slot);
  bench.tick();
  REQUIRE(bench.uplink.attached == std::vector{std::pair(slot, DeviceLink::telemetry)});
  REQUIRE(bench.uplink.sent.empty());
  bench.mux.on_attached(slot, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1});
}

TEST_CASE("messages of one device are sent in the order received, devices take turns", "[D-03]") {
  Bench bench;
  const auto a = bench.mux.add(device_id("a"), {}, false);
  const auto b = bench.mux.add(device_id("b"), {}, false);
  bench.tick();
  bench.mux.on_ready({});
  for (std::uint64_t i = 1; i <= 3; ++i) bench.mux.offer(message("a", i));
  bench.mux.offer(message("b", 4));
  bench.tick();
  for (auto slot : {a, b}) bench.mux.on_authorised(slot);
  bench.tick();
  for (auto slot : {a, b}) bench.mux.on_attached(slot, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1, 4, 2, 3});
}

TEST_CASE("an accepted message leaves the spool, a rejected one is buried with the hub's reason", "[D-04]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  bench.mux.offer(message("a", 1));
  bench.mux.offer(message("a", 2));
  bench.ready(slot);
  bench.mux.on_outcome(slot, Position::make(1, 2), Outcome::rejected("amqp:not-allowed", "no"));
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::accepted());
  REQUIRE(bench.store.settled.size() == 2);
  REQUIRE(bench.store.settled[0].outcome.kind == Outcome::Kind::rejected);
  REQUIRE(bench.store.settled[0].outcome.condition == "amqp:not-allowed");
  REQUIRE(bench.store.settled[1].outcome.kind == Outcome::Kind::accepted);
  REQUIRE(bench.mux.in_flight() == 0);
}

TEST_CASE("an outcome that comes twice settles once", "[D-04]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  bench.mux.offer(message("a", 1));
  bench.ready(slot);
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::accepted());
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::accepted());
  REQUIRE(bench.store.settled.size() == 1);
  REQUIRE(bench.mux.in_flight() == 0);
}

TEST_CASE("a released message is sent again with the same position, and nothing newer before it", "[D-03]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {.max_in_flight = 1}, false);
  bench.mux.offer(message("a", 1));
  bench.mux.offer(message("a", 2));
  bench.ready(slot);
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1});
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::released());
  const auto deadline = bench.tick();
  REQUIRE(bench.uplink.sent.size() == 1);
  REQUIRE(deadline > bench.now);
  REQUIRE(deadline <= bench.now + 1s);
  bench.pass(1s);
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1, 1});
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::accepted());
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1, 1, 2});
}

TEST_CASE("a modified message is tried again, and goes to the dead letters at the limit or at once when undeliverable",
          "[D-04]") {
  Bench bench({.attach_rate = 0, .max_attempts = 3});
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  bench.mux.offer(message("a", 1));
  bench.ready(slot);
  for (int attempt = 0; attempt < 2; ++attempt) {
    bench.mux.on_outcome(slot, Position::make(1, 1), {Outcome::Kind::modified, false, {}, {}});
    REQUIRE(bench.store.settled.empty());
    bench.tick();
    bench.pass(1min);
  }
  bench.mux.on_outcome(slot, Position::make(1, 1), {Outcome::Kind::modified, false, {}, {}});
  REQUIRE(bench.store.settled.size() == 1);
  bench.mux.offer(message("a", 2));
  bench.tick();
  bench.mux.on_outcome(slot, Position::make(1, 2), {Outcome::Kind::modified, true, {}, {}});
  REQUIRE(bench.store.settled.size() == 2);
  REQUIRE_FALSE(bench.store.settled[1].outcome.description.empty());
}

TEST_CASE("after a lost connection the unsettled messages are sent again in order, once authorised anew", "[D-03]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  for (std::uint64_t i = 1; i <= 4; ++i) bench.mux.offer(message("a", i));
  bench.ready(slot);
  bench.mux.on_outcome(slot, Position::make(1, 2), Outcome::accepted());
  bench.mux.on_lost({}, link_fault(LinkFault::Kind::transport));
  REQUIRE(bench.mux.in_flight() == 0);
  REQUIRE(bench.count("uplink_requeued_total") == 3);
  bench.uplink.sent.clear();
  bench.tick();
  REQUIRE(bench.uplink.opens == 1);
  bench.pass(1s);
  REQUIRE(bench.uplink.opens == 2);
  bench.mux.on_ready({});
  bench.tick();
  REQUIRE(bench.uplink.sent.empty());
  bench.mux.on_authorised(slot);
  bench.tick();
  bench.mux.on_attached(slot, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1, 3, 4});
}

TEST_CASE("reconnecting backs off with jitter and never opens twice at the same time", "[R-01]") {
  Bench bench;
  bench.mux.add(device_id("a"), {}, false);
  bench.tick();
  for (int i = 0; i < 12; ++i) {
    const auto opens = bench.uplink.opens;
    bench.pass(1h);
    REQUIRE(bench.uplink.opens == opens);  // an attempt is under way
    bench.mux.on_lost({}, link_fault(LinkFault::Kind::transport));
    const auto next = bench.tick();
    REQUIRE(bench.uplink.opens == opens);
    REQUIRE(next >= bench.now + 100ms);
    REQUIRE(next <= bench.now + 30s);
    bench.now = next;
    bench.tick();
    REQUIRE(bench.uplink.opens == opens + 1);
  }
}

TEST_CASE("a refused token puts that device in quarantine and touches nobody else", "[I-01]") {
  Bench bench;
  const auto bad = bench.mux.add(device_id("bad"), {}, false);
  const auto good = bench.mux.add(device_id("good"), {}, false);
  bench.mux.offer(message("bad", 1));
  bench.mux.offer(message("good", 2));
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  bench.mux.on_refused(bad, link_fault(LinkFault::Kind::unauthorised));
  bench.mux.on_authorised(good);
  bench.tick();
  bench.mux.on_attached(good, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{2});
  const auto status = bench.mux.status();
  REQUIRE(status.devices[0].state == SessionState::quarantined);
  REQUIRE(status.devices[0].fault.find("unauthorised") != std::string::npos);
  REQUIRE(status.devices[0].next_try >= bench.now + 60s);
  REQUIRE(status.devices[1].state == SessionState::ready);

  bench.mux.identities_changed({device_id("bad")});
  bench.tick();
  REQUIRE(std::count(bench.uplink.authorised.begin(), bench.uplink.authorised.end(), good) == 1);
  REQUIRE(std::count(bench.uplink.authorised.begin(), bench.uplink.authorised.end(), bad) == 2);
  bench.mux.on_authorised(bad);
  bench.tick();
  bench.mux.on_attached(bad, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{2, 1});
}

TEST_CASE("a detached link restarts that device only, with its messages in order", "[I-01][D-03]") {
  Bench bench;
  const auto a = bench.mux.add(device_id("a"), {}, false);
  const auto b = bench.mux.add(device_id("b"), {}, false);
  bench.tick();
  bench.mux.on_ready({});
  for (std::uint64_t i = 1; i <= 2; ++i) bench.mux.offer(message("a", i));
  bench.mux.offer(message("b", 3));
  bench.tick();
  for (auto slot : {a, b}) bench.mux.on_authorised(slot);
  bench.tick();
  for (auto slot : {a, b}) bench.mux.on_attached(slot, DeviceLink::telemetry);
  bench.tick();
  bench.uplink.sent.clear();
  bench.mux.on_detached(a, DeviceLink::telemetry, link_fault(LinkFault::Kind::busy));
  bench.tick();
  REQUIRE(bench.uplink.detached == std::vector{a});
  REQUIRE(bench.mux.status().devices[1].in_flight == 1);
  bench.pass(1s);
  REQUIRE(bench.uplink.authorised.back() == a);
  bench.mux.on_authorised(a);
  bench.tick();
  bench.mux.on_attached(a, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("a link ended for its token gets one fresh token before the device is quarantined", "[I-01]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  bench.mux.offer(message("a", 1));
  bench.ready(slot);
  bench.mux.on_detached(slot, DeviceLink::telemetry, link_fault(LinkFault::Kind::unauthorised));
  bench.tick();
  REQUIRE(bench.mux.status().devices[0].state == SessionState::backing_off);
  bench.pass(1s);
  bench.mux.on_refused(slot, link_fault(LinkFault::Kind::unauthorised));
  REQUIRE(bench.mux.status().devices[0].state == SessionState::quarantined);
}

TEST_CASE("a device without identity is disabled and named until the store changes", "[I-01]") {
  Bench bench;
  bench.tokens.unknown.insert("a");
  bench.mux.add(device_id("a"), {}, false);
  bench.mux.offer(message("a", 1));
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  REQUIRE(bench.uplink.authorised.empty());
  REQUIRE(bench.mux.status().devices[0].state == SessionState::disabled);
  REQUIRE(bench.mux.status().devices[0].fault.find("has no identity") != std::string::npos);
  bench.tokens.unknown.clear();
  bench.mux.identities_changed({device_id("a")});
  bench.tick();
  REQUIRE(bench.uplink.authorised.size() == 1);
}

TEST_CASE("tokens are renewed at about 80 % of their life on the live links", "[R-01]") {
  Bench bench;
  bench.tokens.life = 1000s;
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  bench.mux.offer(message("a", 1));
  bench.ready(slot);
  REQUIRE(bench.uplink.authorised.size() == 1);
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::accepted());
  bench.pass(749s);
  REQUIRE(bench.uplink.authorised.size() == 1);
  bench.pass(102s);
  REQUIRE(bench.uplink.authorised.size() == 2);
  bench.mux.on_authorised(slot);
  bench.tick();
  REQUIRE(bench.uplink.attached.size() == 1);
  REQUIRE(bench.uplink.detached.empty());
  bench.pass(852s);
  REQUIRE(bench.uplink.authorised.size() == 3);
}

TEST_CASE("what memory does not hold is read back from the spool, in order and without repeats", "[D-03]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {}, true);  // left over from an earlier run
  bench.mux.offer(message("a", 10));                          // waits behind the backlog
  bench.ready(slot);
  REQUIRE(bench.uplink.sent.empty());
  REQUIRE(bench.store.reads.size() == 1);
  REQUIRE(bench.store.reads[0].after == Position{});
  bench.mux.offer(message("a", 11));
  ReadAnswer first{slot, {message("a", 3), message("a", 10)}, false, false};  // answered before 11 reached the store
  bench.mux.on_batch(first);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{3, 10});
  REQUIRE(bench.store.reads.size() == 2);
  REQUIRE(bench.store.reads[1].after == Position::make(1, 10));
  bench.mux.on_batch({slot, {message("a", 11), message("a", 12)}, false, false});
  bench.mux.offer(message("a", 12));  // its live copy comes by later
  bench.mux.offer(message("a", 13));
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{3, 10, 11, 12, 13});
  REQUIRE(bench.store.reads.size() == 2);
}

TEST_CASE("memory is bounded while the hub is away: the rest stays in the spool", "[D-06]") {
  Bench bench({.attach_rate = 0, .device_memory = 5000});
  const auto slot = bench.mux.add(device_id("a"), {}, false);
  for (std::uint64_t i = 1; i <= 1000; ++i) bench.mux.offer(message("a", i, std::string(100, 'x')));
  bench.ready(slot);
  REQUIRE(bench.uplink.sent.size() < 64);
  REQUIRE(bench.store.reads.size() == 1);
  REQUIRE(bench.store.reads[0].after == bench.uplink.sent.back().message->position);
}

TEST_CASE("a device without credit does not hold up the others", "[I-01]") {
  Bench bench;
  const auto a = bench.mux.add(device_id("a"), {}, false);
  const auto b = bench.mux.add(device_id("b"), {}, false);
  bench.uplink.no_credit.insert(a.value);
  bench.tick();
  bench.mux.on_ready({});
  bench.mux.offer(message("a", 1));
  bench.mux.offer(message("b", 2));
  bench.tick();
  for (auto slot : {a, b}) bench.mux.on_authorised(slot);
  bench.tick();
  for (auto slot : {a, b}) bench.mux.on_attached(slot, DeviceLink::telemetry);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{2});
  bench.uplink.no_credit.clear();
  bench.tick();
  REQUIRE(bench.uplink.sent.size() == 1);  // waits for the event, does not poll
  bench.mux.on_sendable(a);
  bench.tick();
  REQUIRE(bench.sent_sequences() == std::vector<std::uint64_t>{2, 1});
}

TEST_CASE("attaches are paced", "[R-01]") {
  Bench bench({.attach_rate = 10});
  for (int i = 0; i < 30; ++i) {
    const auto name = "d" + std::to_string(i);
    bench.mux.add(device_id(name), {}, false);
    bench.mux.offer(message(name, static_cast<std::uint64_t>(i) + 1));
  }
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  REQUIRE(bench.uplink.authorised.size() == 1);
  for (int i = 0; i < 10; ++i) bench.pass(100ms);
  REQUIRE(bench.uplink.authorised.size() >= 10);
  REQUIRE(bench.uplink.authorised.size() <= 12);
}

TEST_CASE("command credit follows presence, one at a time, and waits 1, 5, 30 s after releases", "[C-02]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {.max_in_flight = 64, .commands = true}, false);
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  REQUIRE(bench.uplink.authorised.empty());
  bench.mux.presence(device_id("a"), Presence::reachable);
  bench.tick();
  bench.mux.on_authorised(slot);
  bench.tick();
  REQUIRE(bench.uplink.attached == std::vector{std::pair(slot, DeviceLink::commands)});
  bench.mux.on_attached(slot, DeviceLink::commands);
  bench.tick();
  REQUIRE(bench.uplink.grants == std::vector{std::pair(slot, 1u)});
  for (const auto wait : {1000ms, 5000ms, 30'000ms, 30'000ms}) {
    const auto grants = bench.uplink.grants.size();
    bench.mux.on_command(slot, command("a", 1), {{}, 1, 1});
    bench.tick();
    REQUIRE(bench.uplink.grants.size() == grants);
    bench.mux.command_finished(slot, Outcome::Kind::released);
    bench.tick();
    bench.pass(wait - 1ms);
    REQUIRE(bench.uplink.grants.size() == grants);
    bench.pass(1ms);
    REQUIRE(bench.uplink.grants.size() == grants + 1);
  }
  bench.mux.presence(device_id("a"), Presence::away);
  bench.tick();
  REQUIRE(bench.uplink.grants.back() == std::pair(slot, 0u));
}

TEST_CASE("in queue mode credit follows room, whether the device is there or not", "[C-01][C-02]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {.commands = true, .stored = true}, false);
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  bench.mux.on_authorised(slot);
  bench.tick();
  REQUIRE(bench.uplink.attached == std::vector{std::pair(slot, DeviceLink::commands)});
  bench.mux.on_attached(slot, DeviceLink::commands);
  bench.tick();
  REQUIRE(bench.uplink.grants == std::vector{std::pair(slot, 1u)});
  bench.mux.on_command(slot, command("a", 1), {{}, 1, 1});
  bench.mux.commands_full(slot, true);
  bench.mux.command_finished(slot, Outcome::Kind::accepted);
  bench.pass(60'000ms);
  REQUIRE(bench.uplink.grants.size() == 1);
  bench.mux.commands_full(slot, false);
  bench.tick();
  REQUIRE(bench.uplink.grants.size() == 2);
  // One that was on its way did not fit: the wait is for room only.
  bench.mux.on_command(slot, command("a", 2), {{}, 1, 2});
  bench.mux.commands_full(slot, true);
  bench.mux.command_finished(slot, Outcome::Kind::released);
  bench.tick();
  bench.mux.commands_full(slot, false);
  bench.tick();
  REQUIRE(bench.uplink.grants.size() == 3);
}

TEST_CASE("a device that goes with every command and comes back waits like any other", "[C-02]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {.max_in_flight = 64, .commands = true}, false);
  const auto come = [&](Presence presence) {
    bench.mux.presence(device_id("a"), presence);
    bench.tick();
  };
  come(Presence::reachable);
  bench.mux.on_ready({});
  bench.tick();
  bench.mux.on_authorised(slot);
  bench.tick();
  bench.mux.on_attached(slot, DeviceLink::commands);
  bench.tick();
  const auto lose_one = [&] {
    bench.mux.on_command(slot, command("a", 1), {{}, 1, 1});
    come(Presence::away);
    bench.mux.command_finished(slot, Outcome::Kind::released);
    bench.tick();
    come(Presence::reachable);
  };
  const auto& grants = bench.uplink.grants;
  REQUIRE(grants.size() == 1);
  lose_one();
  REQUIRE(grants.size() == 2);  // once is no habit
  lose_one();
  bench.pass(4'999ms);
  REQUIRE(grants.size() == 2);
  bench.pass(1ms);
  REQUIRE(grants.size() == 3);
  lose_one();
  bench.pass(29'999ms);
  REQUIRE(grants.size() == 3);
  bench.pass(1ms);
  REQUIRE(grants.size() == 4);
  bench.mux.on_command(slot, command("a", 2), {{}, 1, 2});
  bench.mux.command_finished(slot, Outcome::Kind::accepted);
  bench.tick();
  REQUIRE(grants.size() == 5);
}

TEST_CASE("methods and twins pass through, and callers are forgotten with their connection") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {.methods = true, .twin = true}, false);
  bench.mux.presence(device_id("a"), Presence::reachable);
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  bench.mux.on_authorised(slot);
  bench.tick();
  REQUIRE(bench.uplink.attached ==
          std::vector{std::pair(slot, DeviceLink::methods), std::pair(slot, DeviceLink::twin)});
  bench.mux.on_attached(slot, DeviceLink::methods);
  bench.mux.on_attached(slot, DeviceLink::twin);
  REQUIRE(bench.commands.twin_links == std::vector{std::pair(slot, true)});
  bench.mux.on_method(slot, {"open", "{}"}, {{}, 1, 7});
  REQUIRE(bench.commands.methods.size() == 1);
  bench.mux.respond(bench.commands.methods[0].tag, {200, "1"});
  REQUIRE(bench.uplink.responded.size() == 1);
  REQUIRE(bench.mux.ask_twin(slot, {TwinRequest::Kind::get, 1, {}}));
  bench.mux.on_lost({}, {LinkFault::Kind::transport, "x", "x", {}});
  REQUIRE(bench.commands.callers_lost == 1);
  REQUIRE(bench.commands.twin_links.back() == std::pair(slot, false));
  REQUIRE_FALSE(bench.mux.ask_twin(slot, {TwinRequest::Kind::get, 2, {}}));
}

TEST_CASE("stopping sends nothing new, withdraws credit and lets what is in flight settle", "[D-04]") {
  Bench bench;
  const auto slot = bench.mux.add(device_id("a"), {.max_in_flight = 1}, false);
  bench.mux.offer(message("a", 1));
  bench.mux.offer(message("a", 2));
  bench.ready(slot);
  bench.mux.stop();
  bench.mux.on_outcome(slot, Position::make(1, 1), Outcome::accepted());
  bench.tick();
  REQUIRE(bench.uplink.sent.size() == 1);
  REQUIRE(bench.store.settled.size() == 1);
  REQUIRE(bench.mux.in_flight() == 0);
}

TEST_CASE("it says of each device whether the hub takes its messages", "[D-06][I-01]") {
  Bench bench;
  const auto a = bench.mux.add(device_id("a"), {}, false);
  bench.mux.add(device_id("b"), {}, false);
  bench.tick();
  REQUIRE(bench.store.flow.empty());
  bench.mux.offer(message("a", 1));
  bench.ready(a);
  REQUIRE(bench.store.flow == std::map<std::string, bool>{{"a", true}, {"b", true}});
  SECTION("not without credit") {
    bench.uplink.no_credit.insert(a.value);
    bench.mux.offer(message("a", 2));
    bench.tick();
    REQUIRE_FALSE(bench.store.flow["a"]);
    bench.uplink.no_credit.clear();
    bench.mux.on_sendable(a);
    REQUIRE(bench.store.flow["a"]);
  }
  SECTION("not while a released message waits") {
    bench.mux.on_outcome(a, Position::make(1, 1), Outcome::released());
    bench.tick();
    REQUIRE_FALSE(bench.store.flow["a"]);
    bench.pass(2s);
    REQUIRE(bench.store.flow["a"]);
  }
  SECTION("not one that the hub refuses") {
    bench.mux.on_detached(a, DeviceLink::telemetry, link_fault(LinkFault::Kind::not_found));
    bench.tick();
    REQUIRE_FALSE(bench.store.flow["a"]);
  }
  SECTION("none without a connection") {
    bench.mux.on_lost({}, link_fault(LinkFault::Kind::transport));
    REQUIRE_FALSE(bench.store.flow["a"]);
    REQUIRE_FALSE(bench.store.flow["b"]);
    return;
  }
  REQUIRE(bench.store.flow["b"]);
}
