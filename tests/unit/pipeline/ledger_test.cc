// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <random>

#include "gateway/base/crypto.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

TEST_CASE("what was received is accepted, waiting or dead-lettered, and each is booked once", "[D-05]") {
  StoreRig rig;
  const auto a = rig.offer("a");
  const auto b = rig.offer("b");
  rig.offer("b");
  rig.process();
  rig.settle(a);
  rig.settle(a);  // a verdict that came twice counts once
  rig.settle(b, Outcome::rejected("amqp:not-allowed", "no"));
  rig.process();
  const auto report = rig.balanced();
  REQUIRE(report.total.tally.received == 3);
  REQUIRE(report.total.tally.accepted == 1);
  REQUIRE(report.total.tally.dead_lettered == 1);
  REQUIRE(report.total.held.waiting == 1);
  REQUIRE(report.total.held.dead_lettered == 1);
  REQUIRE(report.devices.size() == 2);
  REQUIRE(rig.report("b").total.tally.received == 2);
  REQUIRE(rig.report("nobody").devices.empty());
}

TEST_CASE("messages that were never written are booked on both sides together, every ledger_flush", "[D-05]") {
  StoreRig rig({.store = {.commit_delay = 1s, .ledger_flush = 10s}});
  const auto one = rig.offer("a", false);
  rig.process();
  rig.settle(one);
  REQUIRE(rig.process().again == rig.now.steady + 10s);
  REQUIRE(rig.count("spool_commits_total") == 0);
  auto report = rig.balanced();
  REQUIRE(report.total.tally.received == 1);
  REQUIRE(report.total.tally.accepted == 1);

  SECTION("a crash before the flush loses both sides") {
    rig.crash();
    REQUIRE(rig.balanced().total.tally.received == 0);
  }
  SECTION("the flush books both sides") {
    rig.pass(10s);
    rig.process();
    REQUIRE(rig.count("spool_commits_total") == 1);
    rig.crash();
    report = rig.balanced();
    REQUIRE(report.total.tally.received == 1);
    REQUIRE(report.total.tally.accepted == 1);
  }
  SECTION("an orderly stop books both sides") {
    rig.store->flush(rig.now);
    rig.crash();
    REQUIRE(rig.balanced().total.tally.accepted == 1);
  }
}

TEST_CASE("a day balances: carried in and received is accepted, dropped, expired and carried out", "[D-05]") {
  StoreRig rig;
  const auto a = rig.offer("a");
  const auto b = rig.offer("a");
  rig.process();
  rig.pass(24h);
  rig.offer("a");
  rig.settle(a);
  rig.process();
  rig.pass(24h);
  rig.settle(b, Outcome::rejected("x:y", "no"));
  rig.process();
  const auto days = rig.balanced().days;
  REQUIRE(days.size() == 3);
  REQUIRE(days[0].carried_in == 0);
  REQUIRE(days[0].carried_out() == 2);
  REQUIRE(days[1].carried_in == 2);
  REQUIRE(days[1].tally.received == 1);
  REQUIRE(days[1].tally.accepted == 1);
  REQUIRE(days[1].carried_out() == 2);
  REQUIRE(days[2].carried_in == 2);
  REQUIRE(days[2].tally.dead_lettered == 1);
  REQUIRE(days[2].carried_out() == 2);
  REQUIRE(days[1].name == day_text(day_of(rig.now.wall) - 1));

  const auto since = rig.report("", day_of(rig.now.wall));
  REQUIRE(since.days.size() == 1);
  REQUIRE(since.total.carried_in == 2);
  REQUIRE(since.total.unaccounted() == 0);
  REQUIRE(since.devices.front().unaccounted() == 0);
}

TEST_CASE("a clock that stands in 1970 books on the last day that there was", "[D-05]") {
  StoreRig rig;
  const auto a = rig.offer("a");
  rig.process();
  const auto day = day_text(day_of(rig.now.wall));
  rig.now.wall = WallTime(5min);
  rig.settle(a);
  rig.process();
  const auto days = rig.balanced().days;
  REQUIRE(days.size() == 1);
  REQUIRE(days[0].name == day);
  REQUIRE(days[0].tally.accepted == 1);
}

TEST_CASE("random events: the books balance after every commit and every crash, for each device", "[D-05]") {
  const auto* given = std::getenv("TRUNKLINE_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : random_seed();
  INFO("TRUNKLINE_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto pick = [&random](std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random);
  };
  StoreRig rig({.limits = {.max_bytes = 6000, .max_messages = 60, .device_bytes = 2500},
                .store = {.commit_delay = 50ms, .ledger_flush = 500ms}});
  rig.set_policy("a", {.max_messages = 4, .max_age = 3s, .on_full = OnFull::drop_oldest});
  rig.set_policy("b", {.max_messages = 5, .on_full = OnFull::drop_newest});
  rig.set_policy("c", {.max_age = 1s});
  const auto flow = [&rig] {
    for (const auto* device : {"a", "b", "c", "d", "e"}) rig.capacity->set_flowing(device_id(device), true);
  };
  flow();
  std::vector<MessagePtr> unsettled;
  std::size_t most = 0;
  for (int step = 0; step < 3000; ++step) {
    switch (pick(60)) {
      case 0:
        unsettled.clear();
        rig.crash();
        flow();
        break;
      case 1: {
        const auto kept = rig.store->kept(rig.now, [](const DeadLetter&) {});
        const auto letters = kept.dead_letters({});
        REQUIRE(letters);
        REQUIRE(kept.purge(*letters) == letters->size());
        break;
      }
      default:
        if (pick(2) == 0) {
          const char* names[] = {"a", "b", "c", "d"};
          if (auto one = rig.offer(names[pick(4)], pick(2) == 0, pick(200))) unsettled.push_back(std::move(one));
        } else if (!unsettled.empty()) {
          const auto at = static_cast<std::ptrdiff_t>(pick(unsettled.size()));
          const auto outcome = pick(8) == 0 ? Outcome::rejected("x:y", "no") : Outcome::accepted();
          if (pick(3) > 0) rig.settle(unsettled[static_cast<std::size_t>(at)], outcome);
          unsettled.erase(unsettled.begin() + at);
        }
    }
    rig.pass(Milliseconds(pick(60)));
    if (pick(3) == 0) REQUIRE_FALSE(rig.process().failed);
    rig.balanced();
    most = std::max<std::size_t>(most, rig.capacity->bytes());
  }
  REQUIRE(most <= 6000 + 3 * 200);  // a rejected message that passed is kept all the same
  const auto total = rig.balanced().total.tally;
  CHECK(total.accepted > 0);
  CHECK(total.dead_lettered > 0);
  CHECK(total.expired > 0);
  CHECK(total.dropped_newest > 0);
  CHECK(total.dropped_oldest > 0);
  CHECK(total.purged > 0);
}
