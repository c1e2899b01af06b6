// SPDX-License-Identifier: Apache-2.0
// What a limit removed from the spool is not sent any more.
#include "gateway/pipeline/multiplexer.h"
#include "tests/support/catch.h"
#include "tests/support/multiplexer_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

// One device with a ready link, two messages in flight (1, 2) and two waiting (3, 4).
struct Bench : MultiplexerRig {
  DeviceSlot slot;

  Bench() {
    slot = mux.add(device_id("a"), {.max_in_flight = 2}, false);
    for (std::uint64_t i = 1; i <= 4; ++i) mux.offer(message("a", i));
    ready(slot);
    REQUIRE(newly_sent() == std::vector<std::uint64_t>{1, 2});
  }
  void forget(std::uint64_t sequence) { mux.forget(device_id("a"), Position::make(1, sequence)); }
  void outcome(std::uint64_t sequence, Outcome outcome) {
    mux.on_outcome(slot, Position::make(1, sequence), std::move(outcome));
    tick();
  }
};

}  // namespace

TEST_CASE("a removed message that waits in memory is not sent", "[D-04][D-06]") {
  Bench bench;
  bench.forget(3);
  bench.outcome(1, Outcome::accepted());
  REQUIRE(bench.newly_sent() == std::vector<std::uint64_t>{4});
  bench.forget(3);  // told twice, or of a message that is not there
  bench.forget(99);
  bench.mux.forget(device_id("unknown"), Position::make(1, 1));
}

TEST_CASE("a removed message that is in flight counts as the hub says, and is not sent again", "[D-04][D-05]") {
  Bench bench;
  bench.forget(1);
  SECTION("accepted: the store learns it") {
    bench.outcome(1, Outcome::accepted());
    REQUIRE(bench.store.settled.size() == 1);
  }
  SECTION("released: gone, and nothing waits for it") {
    bench.outcome(1, Outcome::released());
    REQUIRE(bench.store.settled.empty());
    REQUIRE(bench.newly_sent() == std::vector<std::uint64_t>{3});
  }
  SECTION("modified: gone") {
    bench.outcome(1, {Outcome::Kind::modified, false, {}, {}});
    bench.pass(60s);
    REQUIRE(bench.newly_sent() == std::vector<std::uint64_t>{3});
  }
  SECTION("the connection ends: only the others are sent again") {
    bench.mux.on_lost({}, {LinkFault::Kind::transport, "x", "cut", {}});
    bench.pass(60s);
    bench.ready(bench.slot);
    REQUIRE(bench.newly_sent() == std::vector<std::uint64_t>{2, 3});
    REQUIRE(bench.metrics.metric("uplink_requeued_total", "").value() == 1);
  }
}

TEST_CASE("a backlog that was removed before it was read is not asked for again and again", "[D-04]") {
  Bench bench;
  bench.mux.missed(device_id("a"), Position::make(1, 9));
  bench.tick();
  REQUIRE(bench.store.reads.size() == 1);
  bench.mux.on_batch({bench.slot, {}, false, false});
  bench.pass(1s);
  REQUIRE(bench.store.reads.size() == 1);
  SECTION("what comes after it is sent as usual") {
    bench.mux.offer(message("a", 10));
    bench.outcome(1, Outcome::accepted());
    bench.outcome(2, Outcome::accepted());
    bench.outcome(3, Outcome::accepted());
    bench.outcome(4, Outcome::accepted());
    REQUIRE(bench.newly_sent() == std::vector<std::uint64_t>{3, 4, 10});
  }
  SECTION("what was missed meanwhile is asked for") {
    bench.mux.missed(device_id("a"), Position::make(1, 11));
    bench.tick();
    REQUIRE(bench.store.reads.size() == 2);
    bench.mux.missed(device_id("a"), Position::make(1, 12));
    bench.mux.on_batch({bench.slot, {message("a", 11)}, false, false});
    bench.tick();
    REQUIRE(bench.store.reads.size() == 3);
  }
}
