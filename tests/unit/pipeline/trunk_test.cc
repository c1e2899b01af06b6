// SPDX-License-Identifier: Apache-2.0
// What the multiplexer does when the hub is not kind: conflicts, refused keys, throttles, stalls, more devices than a
// connection holds.
#include <algorithm>
#include <map>

#include "gateway/pipeline/multiplexer.h"
#include "tests/support/catch.h"
#include "tests/support/multiplexer_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using Kind = LinkFault::Kind;

namespace {

Multiplexer::Options options(unsigned max_devices = 990) {
  Multiplexer::Options out;
  out.attach_rate = 0;
  out.trunk.max_devices = max_devices;
  return out;
}

struct Bench : MultiplexerRig {
  std::uint64_t sequence = 0;

  explicit Bench(Multiplexer::Options chosen = options()) : MultiplexerRig(chosen) {}

  // A kind hub: opens what is asked for, ends what is to end, takes tokens, attaches; settles nothing.
  void settle_down() {
    for (int round = 0; round < 20; ++round) {
      tick();
      for (const auto connection : std::exchange(uplink.ending, {})) mux.on_lost(connection, link_fault(Kind::stopped));
      for (const auto connection : std::exchange(uplink.opening, {})) mux.on_ready(connection);
      for (const auto slot : std::exchange(uplink.authorised, {})) mux.on_authorised(slot);
      for (const auto& [slot, link] : std::exchange(uplink.attached, {})) mux.on_attached(slot, link);
    }
    tick();
  }
  DeviceSlot add(const std::string& name, SessionOptions session = {}) {
    return mux.add(device_id(name), session, false);
  }
  void say(const std::string& name) { mux.offer(message(name, ++sequence)); }
  void accept_all() {
    for (const auto& transfer : std::exchange(uplink.sent, {})) {
      mux.on_outcome(transfer.slot, transfer.message->position, Outcome::accepted());
    }
  }
  Multiplexer::DeviceStatus of(const std::string& name) {
    for (auto& device : mux.status().devices) {
      if (device.device.text() == name) return device;
    }
    FAIL("no device " << name);
    throw 0;
  }
};

}  // namespace

TEST_CASE("the secondary key is tried when the primary is refused, and the switch is shown", "[R-01][I-01]") {
  Bench bench;
  bench.tokens.secondary.insert("a");
  const auto slot = bench.add("a");
  bench.say("a");
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  REQUIRE(bench.uplink.tokens[slot] == "primary");
  bench.mux.on_refused(slot, link_fault(Kind::unauthorised));
  bench.tick();
  REQUIRE(bench.uplink.tokens[slot] == "secondary");
  REQUIRE(bench.count("device_key_switches_total") == 0);
  bench.mux.on_authorised(slot);
  REQUIRE(bench.count("device_key_switches_total") == 1);
  REQUIRE(bench.of("a").key == KeyChoice::secondary);

  // A change in the store starts with the primary again, on the live links; refused, the other one is taken as before.
  bench.mux.identities_changed({device_id("a")});
  bench.tick();
  REQUIRE(bench.uplink.tokens[slot] == "primary");
  bench.mux.on_refused(slot, link_fault(Kind::unauthorised));
  bench.tick();
  REQUIRE(bench.uplink.tokens[slot] == "secondary");
  bench.mux.on_authorised(slot);
  REQUIRE(bench.uplink.detached.empty());
}

TEST_CASE("both keys refused is quarantine, and the next try begins with the primary", "[I-01]") {
  Bench bench;
  bench.tokens.secondary.insert("a");
  const auto slot = bench.add("a");
  bench.say("a");
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  bench.mux.on_refused(slot, link_fault(Kind::unauthorised));
  bench.tick();
  bench.mux.on_refused(slot, link_fault(Kind::unauthorised));
  bench.tick();
  REQUIRE(bench.of("a").state == SessionState::quarantined);
  bench.now = bench.of("a").next_try;
  bench.tick();
  REQUIRE(bench.uplink.tokens[slot] == "primary");
}

TEST_CASE("after three evictions the device is left to the other client, and tried again slowly", "[R-01][I-01]") {
  Bench bench;
  const auto slot = bench.add("a", {.commands = true});
  bench.mux.presence(device_id("a"), Presence::reachable);
  const auto begin = bench.now;
  for (int eviction = 1; eviction <= 3; ++eviction) {
    bench.settle_down();
    REQUIRE(bench.of("a").state == SessionState::ready);
    bench.mux.on_detached(slot, DeviceLink::commands, link_fault(Kind::taken_over));
    bench.tick();
    if (eviction < 3) {
      REQUIRE(bench.of("a").state == SessionState::backing_off);
      bench.now = bench.of("a").next_try;
    }
  }
  REQUIRE(bench.now - begin < 60s);
  REQUIRE(bench.of("a").state == SessionState::quarantined);
  REQUIRE(bench.of("a").fault.find("another client uses the identity of a") != std::string::npos);
  REQUIRE(bench.of("a").next_try - bench.now >= 10min);
  // Its next try counts as the same fight.
  bench.now = bench.of("a").next_try;
  bench.settle_down();
  REQUIRE(bench.of("a").state == SessionState::ready);
  bench.mux.on_detached(slot, DeviceLink::commands, link_fault(Kind::taken_over));
  REQUIRE(bench.of("a").state == SessionState::quarantined);
  // Held for ten minutes, it is ours.
  bench.now = bench.of("a").next_try;
  bench.settle_down();
  bench.pass(11min);
  bench.mux.on_detached(slot, DeviceLink::commands, link_fault(Kind::taken_over));
  REQUIRE(bench.of("a").state == SessionState::backing_off);
}

TEST_CASE("past the limit of a connection a further one opens, and status says how many there are", "[R-01]") {
  Bench bench(options(3));
  for (int i = 0; i < 7; ++i) {
    bench.add("d" + std::to_string(i));
    bench.say("d" + std::to_string(i));
  }
  bench.settle_down();
  const auto status = bench.mux.status();
  REQUIRE(status.connections.size() == 3);
  REQUIRE(status.connected());
  REQUIRE(bench.uplink.sent.size() == 7);
  std::map<std::uint32_t, int> on;
  for (const auto& transfer : bench.uplink.sent) ++on[transfer.connection.value];
  REQUIRE(on == std::map<std::uint32_t, int>{{0, 3}, {1, 3}, {2, 1}});

  // One of them is lost: only its devices notice.
  bench.accept_all();
  bench.mux.on_lost({1}, link_fault(Kind::transport));
  REQUIRE(bench.of("d0").state == SessionState::ready);
  REQUIRE(bench.of("d3").state == SessionState::idle);
  REQUIRE_FALSE(bench.mux.status().connected());
  bench.tick();
  bench.pass(1s);
  bench.say("d3");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.size() == 1);
  REQUIRE(bench.uplink.sent[0].connection.value == 1);
}

TEST_CASE("identities ever attached are what is counted, and a worn connection is renewed once it is quiet", "[R-01]") {
  Bench bench(options(4));
  bench.add("stays");
  bench.say("stays");
  bench.settle_down();
  bench.accept_all();
  for (int i = 0; i < 3; ++i) {
    const auto name = "guest" + std::to_string(i);
    bench.add(name);
    bench.say(name);
    bench.settle_down();
    bench.accept_all();
    bench.mux.remove(device_id(name));
  }
  REQUIRE(bench.uplink.opens == 1);
  bench.tick();
  REQUIRE(bench.uplink.closes == 0);  // not quiet yet
  // A known identity comes back to its own place, a new one needs another connection.
  bench.add("guest0");
  bench.say("guest0");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.back().connection.value == 0);
  bench.accept_all();
  bench.add("late");
  bench.say("late");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.back().connection.value == 1);
  bench.accept_all();
  bench.tick();
  bench.pass(11s);
  REQUIRE(bench.uplink.closes == 1);
  bench.settle_down();
  REQUIRE(bench.mux.status().connections[0].opened == 2);
  // The renewed one has room again.
  bench.add("later");
  bench.say("later");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.back().connection.value == 0);
}

TEST_CASE("a further connection that no device needs is closed", "[R-01]") {
  Bench bench(options(1));
  bench.add("a");
  bench.add("b");
  bench.say("a");
  bench.say("b");
  bench.settle_down();
  bench.accept_all();
  REQUIRE(bench.mux.status().connections.size() == 2);
  bench.mux.remove(device_id("b"));
  bench.tick();
  bench.pass(61s);
  bench.settle_down();
  REQUIRE(bench.uplink.closes == 1);
  REQUIRE(bench.mux.status().connections[1].state == Trunk::State::closed);
  REQUIRE(bench.mux.status().connected());
  bench.add("b");
  bench.say("b");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.back().connection.value == 1);
}

TEST_CASE("a connection that the hub calls full sends the refused device to another one", "[R-01]") {
  Bench bench;
  const auto a = bench.add("a");
  bench.say("a");
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  bench.uplink.opening.clear();
  bench.uplink.authorised.clear();
  bench.mux.on_refused(a, link_fault(Kind::full));
  bench.settle_down();
  REQUIRE(bench.uplink.place[a].value == 1);
  REQUIRE(bench.uplink.sent.size() == 1);
}

TEST_CASE("a removed device leaves nothing behind, and comes back with what waits in the spool", "[D-04]") {
  Bench bench;
  const auto slot = bench.add("a", {.max_in_flight = 1});
  bench.say("a");
  bench.say("a");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.size() == 1);
  bench.mux.remove(device_id("a"));
  REQUIRE(bench.uplink.detached == std::vector{slot});
  REQUIRE(bench.mux.in_flight() == 0);
  REQUIRE(bench.mux.status().devices.empty());
  bench.say("a");  // was on its way when the map went
  bench.tick();
  REQUIRE(bench.add("a") == slot);
  bench.settle_down();
  REQUIRE(bench.store.reads.size() == 1);
  REQUIRE(bench.store.reads[0].after == Position{});
}

TEST_CASE("after a reconnect alarms come first and then the busiest devices", "[R-01]") {
  auto chosen = options();
  chosen.attach_rate = 10;
  Bench bench(chosen);
  bench.add("idle");
  bench.add("busy");
  bench.add("alarm", {.priority = Priority::alarm});
  bench.tick();
  for (const auto& name : {"idle", "busy", "busy", "busy", "alarm"}) bench.say(name);
  bench.tick();
  bench.mux.on_ready({});
  for (int i = 0; i < 3; ++i) bench.pass(100ms);
  std::vector<std::string> order;
  for (const auto slot : bench.uplink.authorised) order.push_back(std::to_string(slot.value));
  REQUIRE(order == std::vector<std::string>{"2", "1", "0"});
}

TEST_CASE("a device whose messages are never settled climbs to its session, then to quarantine; nobody else notices",
          "[R-01][I-01]") {
  Bench bench;
  const auto bad = bench.add("bad");
  bench.add("good");
  bench.say("bad");
  for (int round = 1; round <= 3; ++round) {
    bench.settle_down();
    for (int i = 0; i < 13 && bench.of("bad").in_flight > 0; ++i) {
      bench.pass(5s);
      bench.say("good");
      bench.tick();
      for (const auto& transfer : std::exchange(bench.uplink.sent, {})) {
        if (transfer.slot != bad) bench.mux.on_outcome(transfer.slot, transfer.message->position, Outcome::accepted());
      }
    }
    REQUIRE(bench.count("device_stalls_total") == static_cast<std::uint64_t>(round));
    if (round < 3) {
      REQUIRE(bench.of("bad").state == SessionState::backing_off);
      bench.now = std::max(bench.now, bench.of("bad").next_try);
    }
  }
  REQUIRE(bench.of("bad").state == SessionState::quarantined);
  REQUIRE(bench.of("good").state == SessionState::ready);
  REQUIRE(bench.uplink.aborts == 0);
  REQUIRE(std::count(bench.uplink.detached.begin(), bench.uplink.detached.end(), bad) == 3);
  REQUIRE(bench.uplink.detached.size() == 3);
}

TEST_CASE("when several devices wait and none is settled the connection is rebuilt, and health fails at the third time",
          "[R-01]") {
  Bench bench;
  bench.add("a");
  bench.add("b");
  bench.say("a");
  bench.say("b");
  for (unsigned round = 1; round <= 3; ++round) {
    bench.settle_down();
    REQUIRE(bench.mux.in_flight() > 0);
    REQUIRE(bench.mux.status().healthy);
    bench.pass(60s);
    REQUIRE(bench.uplink.aborts == round);
    for (const auto connection : std::exchange(bench.uplink.ending, {}))
      bench.mux.on_lost(connection, link_fault(Kind::timeout));
    bench.tick();
    if (round < 3) {
      // Quarantine would hide the stall of the connection: each device is still below its own limit.
      bench.pass(30s);
    }
  }
  REQUIRE_FALSE(bench.mux.status().healthy);
  REQUIRE(bench.count("uplink_stalls_total") == 3);
}

TEST_CASE("one settlement proves that the connection lives", "[R-01]") {
  Bench bench;
  bench.add("a");
  bench.add("b");
  bench.say("a");
  bench.say("b");
  bench.settle_down();
  bench.pass(60s);
  for (const auto connection : std::exchange(bench.uplink.ending, {}))
    bench.mux.on_lost(connection, link_fault(Kind::timeout));
  bench.tick();
  bench.pass(30s);
  bench.uplink.sent.clear();
  bench.settle_down();
  bench.accept_all();
  bench.tick();
  bench.say("a");
  bench.say("b");
  bench.tick();
  bench.pass(60s);
  REQUIRE(bench.uplink.aborts == 2);
  REQUIRE(bench.mux.status().healthy);
}

TEST_CASE("credit that nobody told us of is found, and a device without credit is shown as such", "[R-01]") {
  Bench bench;
  const auto slot = bench.add("a");
  bench.uplink.no_credit.insert(slot.value);
  bench.say("a");
  bench.settle_down();
  const auto since = bench.of("a").starved_from;
  REQUIRE(since == bench.now);
  bench.pass(60s);
  REQUIRE(bench.of("a").starved_from == since);
  REQUIRE(bench.uplink.sent.empty());
  REQUIRE(bench.uplink.detached.empty());  // no credit is no stall
  bench.uplink.no_credit.clear();
  bench.pass(60s);
  REQUIRE(bench.uplink.sent.size() == 1);
  REQUIRE(bench.count("uplink_missed_credit_total") == 1);
}

TEST_CASE("a throttled message waits as long as the hub asks, and the gateway slows down for all", "[D-03][R-01]") {
  Bench bench;
  const auto slot = bench.add("a");
  bench.add("b");
  for (int i = 0; i < 3; ++i) bench.say("a");
  bench.settle_down();
  REQUIRE(bench.uplink.sent.size() == 3);
  bench.mux.on_outcome(slot, bench.uplink.sent[0].message->position, Outcome::throttled(5s, "too fast"));
  bench.tick();
  REQUIRE(bench.mux.status().throttled);
  REQUIRE(bench.mux.status().send_rate > 0);
  bench.pass(4s);
  REQUIRE(bench.uplink.sent.size() == 3);
  bench.pass(2s);
  REQUIRE(bench.uplink.sent.size() == 4);
  bench.accept_all();
  for (int i = 0; i < 400; ++i) bench.pass(1s);
  REQUIRE_FALSE(bench.mux.status().throttled);
  REQUIRE(bench.mux.status().send_rate == 0);
}

TEST_CASE("a bounded send rate is kept, and live data passes a backlog", "[D-03]") {
  auto chosen = options();
  chosen.send_rate = 100;
  Bench bench(chosen);
  bench.add("backlog", {.max_in_flight = 1000});
  bench.add("live");
  bench.say("live");
  for (int i = 0; i < 500; ++i) bench.say("backlog");
  bench.settle_down();
  const auto before = bench.uplink.sent.size();
  REQUIRE(before <= 12);
  bench.say("live");
  const auto live = bench.sequence;
  for (int i = 0; i < 10; ++i) bench.pass(100ms);
  REQUIRE(bench.uplink.sent.size() - before >= 99);
  REQUIRE(bench.uplink.sent.size() - before <= 101);
  const auto at = std::find_if(bench.uplink.sent.begin(), bench.uplink.sent.end(),
                               [live](const auto& transfer) { return transfer.message->position.sequence() == live; });
  REQUIRE(at - bench.uplink.sent.begin() <= static_cast<std::ptrdiff_t>(before) + 1);
}

TEST_CASE("a throttled attach slows all attaches down", "[R-01]") {
  Bench bench;
  for (int i = 0; i < 20; ++i) {
    bench.add("d" + std::to_string(i));
    bench.say("d" + std::to_string(i));
  }
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  const auto all = std::exchange(bench.uplink.authorised, {});
  REQUIRE(all.size() == 20);
  for (const auto slot : all) bench.mux.on_refused(slot, {Kind::throttled, "trunkline:put-token-429", "slow", 1000ms});
  bench.tick();
  REQUIRE(bench.mux.status().throttled);
  bench.pass(30s);
  REQUIRE(bench.uplink.authorised.size() < 20);
  for (int i = 0; i < 30; ++i) bench.pass(1s);
  REQUIRE(bench.uplink.authorised.size() == 20);
}

TEST_CASE("links attach when they are needed: methods by presence, the twin always, telemetry at start if asked for",
          "[C-02]") {
  auto chosen = options();
  chosen.attach_at_start = true;
  Bench bench(chosen);
  const auto slot = bench.add("a", {.methods = true, .twin = true});
  bench.tick();
  bench.mux.on_ready({});
  bench.tick();
  bench.mux.on_authorised(slot);
  bench.tick();
  using Attached = std::vector<std::pair<DeviceSlot, DeviceLink>>;
  REQUIRE(bench.uplink.attached == Attached{{slot, DeviceLink::telemetry}, {slot, DeviceLink::twin}});
  REQUIRE(bench.of("a").state == SessionState::attaching);
  bench.mux.presence(device_id("a"), Presence::reachable);
  bench.tick();
  REQUIRE(bench.uplink.attached.back() == std::pair(slot, DeviceLink::methods));
}
