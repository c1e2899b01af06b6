// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/clock.h"

#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("times are written as RFC 3339 in UTC", "[base]") {
  CHECK(to_rfc3339(WallTime(Milliseconds(0))) == "1970-01-01T00:00:00.000Z");
  CHECK(to_rfc3339(WallTime(Milliseconds(1'700'000'000'123))) == "2023-11-14T22:13:20.123Z");
  CHECK(to_rfc3339(WallTime(Milliseconds(951'782'400'000))) == "2000-02-29T00:00:00.000Z");
  CHECK(to_rfc3339(WallTime(Milliseconds(4'102'444'799'999))) == "2099-12-31T23:59:59.999Z");
}

}  // namespace trunkline
