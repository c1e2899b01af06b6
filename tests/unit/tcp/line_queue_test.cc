// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/line_queue.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using tcp::LineQueue;

namespace {

const SteadyTime kStart{1'000s};

std::vector<std::string> offers(LineQueue& queue, SteadyTime now) {
  std::vector<std::string> out;
  while (const auto again = queue.again(now)) out.emplace_back(again->body);
  return out;
}

struct Settled {
  std::size_t acknowledge = 0;
  bool abandoned = false;
};

// What the peer of one connection is owed: nothing after an abandoned line, for its line is closed then.
Settled settle(LineQueue& queue, std::uint64_t connection) {
  Settled out;
  std::vector<LineQueue::Ended> ended;
  queue.settle(ended);
  for (const auto& [whose, tag, end] : ended) {
    if (whose != connection) continue;
    if (end == LineQueue::End::abandoned) out.abandoned = true;
    if (end == LineQueue::End::safe && !out.abandoned) ++out.acknowledge;
  }
  return out;
}

}  // namespace

TEST_CASE("a line is acknowledged only when every earlier one is safe", "[D-01]") {
  LineQueue queue;
  const auto a = queue.push("a", 1);
  const auto b = queue.push("b", 1);
  const auto c = queue.push("c", 1);
  queue.answer(c, Admission::safe(), kStart);
  queue.answer(b, Admission::safe(), kStart);
  CHECK(settle(queue, 1).acknowledge == 0);
  queue.answer(a, Admission::safe(), kStart);
  CHECK(settle(queue, 1).acknowledge == 3);
  CHECK(queue.empty());
}

TEST_CASE("a refused line is passed over and a duplicate is acknowledged", "[D-01]") {
  LineQueue queue;
  const auto a = queue.push("a", 1);
  const auto b = queue.push("b", 1);
  queue.answer(a, Admission::refused("too large"), kStart);
  queue.answer(b, {Admission::Kind::duplicate, {}, {}}, kStart);
  CHECK(settle(queue, 1).acknowledge == 1);
}

TEST_CASE("nothing after an abandoned line is acknowledged", "[D-01]") {
  LineQueue queue;
  const auto a = queue.push("a", 1);
  const auto b = queue.push("b", 1);
  const auto c = queue.push("c", 1);
  queue.answer(a, Admission::safe(), kStart);
  queue.answer(b, Admission::abandoned(), kStart);
  queue.answer(c, Admission::safe(), kStart);
  const auto settled = settle(queue, 1);
  CHECK(settled.acknowledge == 1);
  CHECK(settled.abandoned);
}

TEST_CASE("lines of a connection that is gone are finished but acknowledged to nobody", "[D-01]") {
  LineQueue queue;
  const auto old = queue.push("old", 1);
  const auto fresh = queue.push("fresh", 2);
  queue.answer(fresh, Admission::safe(), kStart);
  CHECK(settle(queue, 2).acknowledge == 0);
  queue.answer(old, Admission::safe(), kStart);
  CHECK(settle(queue, 2).acknowledge == 1);
}

TEST_CASE("while a line is throttled nothing is read, and it is offered again alone", "[D-06]") {
  LineQueue queue;
  const auto a = queue.push("a", 1);
  const auto b = queue.push("b", 1);
  const auto c = queue.push("c", 1);
  for (const auto number : {a, b, c}) queue.answer(number, Admission::throttled(100ms, "full"), kStart);
  CHECK_FALSE(queue.wants_lines());
  CHECK(queue.next_offer_at() == kStart + 100ms);
  CHECK(offers(queue, kStart + 99ms).empty());
  CHECK(offers(queue, kStart + 100ms) == std::vector<std::string>{"a"});

  SECTION("throttled once more, it waits again") {
    queue.answer(a, Admission::throttled(1s, "full"), kStart + 110ms);
    CHECK(queue.next_offer_at() == kStart + 1110ms);
    CHECK(offers(queue, kStart + 1110ms) == std::vector<std::string>{"a"});
  }
  SECTION("once taken, the others follow in order and reading goes on") {
    queue.answer(a, Admission::safe(), kStart + 110ms);
    CHECK(queue.next_offer_at() == kStart + 110ms);
    CHECK(offers(queue, kStart + 110ms) == std::vector<std::string>{"b", "c"});
    CHECK(queue.wants_lines());
    queue.answer(b, Admission::safe(), kStart + 120ms);
    queue.answer(c, Admission::safe(), kStart + 120ms);
    CHECK(settle(queue, 1).acknowledge == 3);
  }
}

TEST_CASE("a retry after nothing is not asked at once, nor is one after a day put off so long") {
  LineQueue queue;
  const auto a = queue.push("a", 1);
  queue.answer(a, Admission::throttled(0ms, ""), kStart);
  CHECK(queue.next_offer_at() > kStart);
  LineQueue other;
  other.answer(other.push("a", 1), Admission::throttled(std::chrono::hours(24), ""), kStart);
  CHECK(other.next_offer_at() <= kStart + 60s);
}

TEST_CASE("a full queue wants lines again when half of it is answered") {
  LineQueue queue({4, 1000});
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < 4; ++i) {
    CHECK(queue.wants_lines());
    numbers.push_back(queue.push("x", 1));
  }
  CHECK_FALSE(queue.wants_lines());
  queue.answer(numbers[0], Admission::safe(), kStart);
  settle(queue, 1);
  CHECK_FALSE(queue.wants_lines());
  queue.answer(numbers[1], Admission::safe(), kStart);
  settle(queue, 1);
  CHECK(queue.wants_lines());

  LineQueue bytes({1000, 10});
  bytes.push("0123456789", 1);
  CHECK_FALSE(bytes.wants_lines());
}

TEST_CASE("whatever the ingress answers, every line is settled once and none is left", "[D-01]") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    LineQueue queue({32, 4096});
    auto now = kStart;
    std::vector<std::uint64_t> out;  // offers that are not answered
    std::size_t pushed = 0;
    std::size_t safe = 0;
    std::size_t acknowledged = 0;
    const auto answer_one = [&](bool finally) {
      const auto at = random() % out.size();
      const auto number = out[at];
      out.erase(out.begin() + static_cast<std::ptrdiff_t>(at));
      const auto what = random() % 10;
      if (!finally && what < 3) {
        queue.answer(number, Admission::throttled(Milliseconds(random() % 50), ""), now);
      } else if (what == 9) {
        queue.answer(number, Admission::refused(""), now);
      } else {
        queue.answer(number, Admission::safe(), now);
        ++safe;
      }
    };
    for (int step = 0; step < 400; ++step) {
      now += Milliseconds(random() % 20);
      if (queue.wants_lines() && random() % 2 == 0) {
        out.push_back(queue.push(std::to_string(pushed++), 1));
      } else if (!out.empty() && random() % 2 == 0) {
        answer_one(false);
      }
      while (const auto again = queue.again(now)) out.push_back(again->number);
      REQUIRE(queue.offered() == out.size());
      acknowledged += settle(queue, 1).acknowledge;
    }
    for (int step = 0; step < 10'000 && !queue.empty(); ++step) {
      now = std::max(now, queue.next_offer_at() == kNever ? now : queue.next_offer_at());
      while (const auto again = queue.again(now)) out.push_back(again->number);
      if (!out.empty()) answer_one(true);
      acknowledged += settle(queue, 1).acknowledge;
    }
    REQUIRE(queue.empty());
    REQUIRE(acknowledged == safe);
    REQUIRE(queue.wants_lines());
  }
}
