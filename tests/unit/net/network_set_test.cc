// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/network_set.h"

#include "tests/support/catch.h"

using trunkline::net::NetworkSet;

TEST_CASE("an address is in the narrowest of the networks that hold it", "[I-02]") {
  NetworkSet set;
  for (const auto* one : {"10.0.0.0/8", "10.1.2.3", "10.1.0.0/16", "fd00::/8", "fd00::7", "10.1.2.0/24"}) {
    REQUIRE(set.add(one));
  }
  CHECK(set.find("10.9.9.9") == 0U);
  CHECK(set.find("10.1.2.3") == 1U);
  CHECK(set.find("10.1.2.4") == 5U);
  CHECK(set.find("10.1.3.4") == 2U);
  CHECK(set.find("::ffff:10.1.2.3") == 1U);
  CHECK(set.find("fd00::7") == 4U);
  CHECK(set.find("fd12::7") == 3U);
  CHECK_FALSE(set.find("11.0.0.1"));
  CHECK_FALSE(set.find("fe80::1"));
  CHECK_FALSE(set.find("no address"));
}

TEST_CASE("what is no network is refused", "[I-02]") {
  NetworkSet set;
  for (const auto* one : {"", "10.0.0", "10.0.0.0/33", "scale.local", "fd00::/129", "/8", "10.0.0.1/"}) {
    INFO(one);
    CHECK_FALSE(set.add(one));
  }
  CHECK(set.empty());
}
