// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/send_queue.h"

#include <map>
#include <vector>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;

namespace {

constexpr auto kStart = SteadyTime{} + 1h;

std::vector<std::uint32_t> drain(SendQueue& queue) {
  std::vector<std::uint32_t> out;
  while (const auto slot = queue.pop()) out.push_back(slot->value);
  return out;
}

}  // namespace

TEST_CASE("what is listed together goes by rank: alarm, normal, bulk, and live before a backlog", "[D-06]") {
  SendQueue queue;
  queue.push({6}, Priority::bulk, true, kStart);
  queue.push({5}, Priority::bulk, false, kStart);
  queue.push({4}, Priority::normal, true, kStart);
  queue.push({2}, Priority::alarm, true, kStart);
  queue.push({3}, Priority::normal, false, kStart);
  queue.push({1}, Priority::alarm, false, kStart);
  REQUIRE(drain(queue) == std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("devices of one rank take turns", "[D-06]") {
  SendQueue queue;
  for (std::uint32_t i = 1; i <= 3; ++i) queue.push({i}, Priority::normal, false, kStart);
  std::vector<std::uint32_t> out;
  for (int i = 0; i < 6; ++i) {
    const auto slot = *queue.pop();
    out.push_back(slot.value);
    queue.push(slot, Priority::normal, false, kStart + 1ms * i);
  }
  REQUIRE(out == std::vector<std::uint32_t>{1, 2, 3, 1, 2, 3});
}

TEST_CASE("what waits long enough goes before anything newer of a better rank, so that nothing starves", "[D-06]") {
  SendQueue queue;
  queue.push({9}, Priority::bulk, true, kStart);
  SECTION("an alarm that came a little later is still first") {
    queue.push({1}, Priority::alarm, false, kStart + 10s);
    REQUIRE(drain(queue) == std::vector<std::uint32_t>{1, 9});
  }
  SECTION("one that came much later is not") {
    queue.push({1}, Priority::alarm, false, kStart + 18s);
    REQUIRE(drain(queue) == std::vector<std::uint32_t>{9, 1});
  }
}

TEST_CASE("under alarms without end every rank is served, the better ones sooner", "[D-06]") {
  SendQueue queue;
  const std::map<std::uint32_t, Priority> rank{{1, Priority::alarm}, {2, Priority::normal}, {3, Priority::bulk}};
  for (const auto& [slot, priority] : rank) queue.push({slot}, priority, false, kStart);
  std::map<std::uint32_t, SteadyTime> first;
  std::map<std::uint32_t, unsigned> turns;
  // One message every 10 ms, for a minute; each device has the next one at once.
  for (auto now = kStart; now < kStart + 60s; now += 10ms) {
    const auto slot = *queue.pop();
    first.emplace(slot.value, now);
    ++turns[slot.value];
    queue.push(slot, rank.at(slot.value), false, now);
  }
  REQUIRE(first[2] - kStart <= 2050ms);
  REQUIRE(first[3] - kStart <= 12'100ms);
  REQUIRE(turns[1] > turns[2]);
  REQUIRE(turns[2] > turns[3]);
  REQUIRE(turns[3] >= 4);
}
