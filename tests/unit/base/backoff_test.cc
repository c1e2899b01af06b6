// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/backoff.h"

#include <set>

#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("every delay is between the floor and a ceiling that doubles up to the cap", "[base][R-01]") {
  const Backoff::Limits limits{Milliseconds(100), Milliseconds(500), Milliseconds(30'000)};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Backoff backoff(limits, seed);
    std::int64_t ceiling = 500;
    for (int i = 0; i < 100; ++i) {
      const auto delay = backoff.next().count();
      REQUIRE(delay >= 100);
      REQUIRE(delay <= std::min<std::int64_t>(ceiling, 30'000));
      ceiling = std::min<std::int64_t>(ceiling * 2, 30'000);
    }
  }
}

TEST_CASE("delays are spread, repeat for a seed and start over after a reset", "[base]") {
  const Backoff::Limits limits{Milliseconds(0), Milliseconds(10'000), Milliseconds(10'000)};
  std::set<std::int64_t> seen;
  Backoff one(limits, 1), same(limits, 1);
  for (int i = 0; i < 100; ++i) {
    const auto delay = one.next();
    CHECK(delay == same.next());
    seen.insert(delay.count());
  }
  CHECK(seen.size() > 50);
  CHECK(one.attempt() == 100);
  one.reset();
  CHECK(one.attempt() == 0);
}

TEST_CASE("a floor above the ceiling does not widen it", "[base]") {
  Backoff backoff({Milliseconds(5000), Milliseconds(100), Milliseconds(1000)}, 3);
  for (int i = 0; i < 20; ++i) CHECK(backoff.next() <= Milliseconds(1000));
}

}  // namespace trunkline
