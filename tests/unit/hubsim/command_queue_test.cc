// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/command_queue.h"

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using hubsim::CommandQueue;
using hubsim::Fate;
using hubsim::Message;
using hubsim::Verdict;

namespace {

// A queue with a clock that the test turns.
struct Bench {
  CommandQueue queue{{.depth = 3, .lock = 60s, .default_ttl = 1h, .max_delivery_count = 3}};
  SteadyTime now{1000s};
  WallTime wall{1'700'000'000s};

  std::uint64_t add(const std::string& body, std::optional<Milliseconds> ttl = {}) {
    Message message;
    message.body = body;
    if (ttl) message.absolute_expiry_time = (wall + *ttl).time_since_epoch().count();
    return queue.enqueue(message, "full", wall).value();
  }
  void pass(Milliseconds time) {
    now += time;
    wall += time;
    queue.tick(now, wall);
  }
  std::string lock(std::uint64_t holder = 1) {
    const auto delivery = queue.lock(holder, now, wall);
    return delivery ? delivery->token : std::string();
  }
};

}  // namespace

TEST_CASE("commands are handed out oldest first, each under its own lock") {
  Bench bench;
  bench.add("a");
  bench.add("b");
  const auto first = bench.queue.lock(1, bench.now, bench.wall);
  REQUIRE(first);
  CHECK(first->item->message.body == "a");
  CHECK(first->token.size() == 16);
  const auto second = bench.queue.lock(1, bench.now, bench.wall);
  REQUIRE(second);
  CHECK(second->item->message.body == "b");
  CHECK_FALSE(bench.queue.lock(1, bench.now, bench.wall));
  CHECK(bench.queue.locked() == 2);
}

TEST_CASE("a full queue refuses, and locked commands count") {
  Bench bench;
  bench.add("a");
  bench.add("b");
  bench.add("c");
  bench.lock();
  const auto refused = bench.queue.enqueue(Message(), "", bench.wall);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::exhausted);
}

TEST_CASE("accepted and rejected commands leave with their fate") {
  Bench bench;
  const auto done = bench.add("a");
  const auto never = bench.add("b");
  CHECK(bench.queue.settle(bench.lock(), Verdict::accepted));
  CHECK(bench.queue.settle(bench.lock(), Verdict::rejected));
  const auto finished = bench.queue.take_finished();
  REQUIRE(finished.size() == 2);
  CHECK((finished[0].sequence == done && finished[0].fate == Fate::completed));
  CHECK((finished[1].sequence == never && finished[1].fate == Fate::rejected));
  CHECK(bench.queue.size() == 0);
  CHECK(bench.queue.take_finished().empty());
}

TEST_CASE("released and modified commands come again with a higher count until there were too many") {
  Bench bench;
  const auto sequence = bench.add("a");
  CHECK(bench.queue.settle(bench.lock(), Verdict::released));
  CHECK(bench.queue.find(sequence)->delivery_count == 1);
  CHECK(bench.queue.settle(bench.lock(), Verdict::modified));
  CHECK(bench.queue.find(sequence)->delivery_count == 2);
  CHECK(bench.queue.settle(bench.lock(), Verdict::released));
  const auto finished = bench.queue.take_finished();
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].fate == Fate::delivery_count_exceeded);
  CHECK_FALSE(bench.queue.has_waiting());
}

TEST_CASE("a lock that ends gives the command back without counting, and a late outcome is refused") {
  Bench bench;
  const auto sequence = bench.add("a");
  const auto token = bench.lock();
  CHECK(bench.queue.deadline(bench.now, bench.wall) == bench.now + 60s);
  bench.pass(59s);
  CHECK_FALSE(bench.queue.has_waiting());
  bench.pass(1s);
  CHECK(bench.queue.has_waiting());
  CHECK(bench.queue.find(sequence)->delivery_count == 0);
  CHECK_FALSE(bench.queue.settle(token, Verdict::accepted));
  CHECK(bench.queue.size() == 1);
}

TEST_CASE("a holder that goes gives back its own commands only") {
  Bench bench;
  bench.add("a");
  bench.add("b");
  bench.lock(1);
  const auto kept = bench.lock(2);
  bench.queue.give_back(1);
  CHECK(bench.queue.locked() == 1);
  const auto again = bench.queue.lock(2, bench.now, bench.wall);
  REQUIRE(again);
  CHECK(again->item->message.body == "a");
  CHECK(again->item->delivery_count == 0);
  CHECK(bench.queue.settle(kept, Verdict::accepted));
}

TEST_CASE("a command expires by its own time or the default, but not while it is locked") {
  Bench bench;
  bench.add("short", 10s);
  const auto locked = bench.add("locked", 20s);
  bench.add("default");
  CHECK(bench.queue.deadline(bench.now, bench.wall) == bench.now + 10s);
  bench.pass(10s);
  auto finished = bench.queue.take_finished();
  REQUIRE(finished.size() == 1);
  CHECK((finished[0].message.body == "short" && finished[0].fate == Fate::expired));
  const auto token = bench.lock();
  bench.pass(30s);
  CHECK(bench.queue.find(locked)->fate == Fate::locked);
  CHECK(bench.queue.settle(token, Verdict::released));
  bench.pass(0s);
  finished = bench.queue.take_finished();
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].sequence == locked);
  bench.pass(1h);
  CHECK(bench.queue.take_finished().size() == 1);
  CHECK(bench.queue.deadline(bench.now, bench.wall) == kNever);
}

TEST_CASE("a purge takes everything, and what was locked cannot be settled any more") {
  Bench bench;
  bench.add("a");
  bench.add("b");
  const auto token = bench.lock();
  bench.queue.purge();
  CHECK(bench.queue.size() == 0);
  CHECK_FALSE(bench.queue.has_waiting());
  CHECK_FALSE(bench.queue.settle(token, Verdict::accepted));
  for (const auto& item : bench.queue.take_finished()) CHECK(item.fate == Fate::purged);
}

TEST_CASE("sequence numbers rise and are not used again") {
  Bench bench;
  const auto first = bench.add("a");
  bench.queue.purge();
  CHECK(bench.add("b") == first + 1);
}
