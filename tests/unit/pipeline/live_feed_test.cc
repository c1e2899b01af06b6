// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/live_feed.h"

#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"

using namespace trunkline;
using namespace trunkline::test;

TEST_CASE("past its bound the feed keeps positions only, and nothing overtakes a missed message", "[D-03]") {
  LiveFeed feed(2);
  unsigned wakes = 0;
  feed.set_wake([&wakes] { ++wakes; });
  for (std::uint64_t i = 1; i <= 4; ++i) feed.push(message("a", i));
  REQUIRE(wakes == 1);
  LiveFeed::Taken taken;
  feed.take(taken);
  REQUIRE(taken.messages.size() == 2);
  REQUIRE(taken.missed.at(device_id("a")) == Position::make(1, 4));
  feed.push(message("a", 5));
  REQUIRE(wakes == 2);
  feed.take(taken);
  REQUIRE(taken.messages.size() == 1);
  REQUIRE(taken.missed.empty());
}
