// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/throttle.h"

#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

TEST_CASE("a rate lets a second's worth through at once, then as time passes, and saves no more than that") {
  SteadyTime now{};
  RateLimit rate;
  rate.set(10, now);
  for (int i = 0; i < 10; ++i) CHECK(rate.take(now));
  CHECK_FALSE(rate.take(now));
  CHECK_FALSE(rate.take(now + 90ms));
  CHECK(rate.take(now + 110ms));
  CHECK_FALSE(rate.take(now + 110ms));
  now += 1h;
  for (int i = 0; i < 10; ++i) CHECK(rate.take(now));
  CHECK_FALSE(rate.take(now));
}

TEST_CASE("no rate lets everything through") {
  RateLimit rate;
  for (int i = 0; i < 1000; ++i) CHECK(rate.take({}));
  rate.set(1, {});
  CHECK(rate.take({}));
  CHECK_FALSE(rate.take({}));
  rate.set(0, {});
  CHECK(rate.take({}));
}
