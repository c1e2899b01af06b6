// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/crypto.h"

#include "gateway/base/encoding.h"
#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("HMAC-SHA256 agrees with RFC 4231", "[base]") {
  CHECK(hex_encode(hmac_sha256(std::string(20, '\x0b'), "Hi There")) ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hex_encode(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("random bytes and UUIDs have their form and do not repeat", "[base]") {
  CHECK(random_bytes(0).empty());
  CHECK(random_bytes(33).size() == 33);
  CHECK(random_bytes(16) != random_bytes(16));
  CHECK(random_seed() != random_seed());
  const auto uuid = random_uuid();
  REQUIRE(uuid.size() == 36);
  for (const std::size_t dash : {8u, 13u, 18u, 23u}) CHECK(uuid[dash] == '-');
  CHECK(uuid[14] == '4');
  CHECK(std::string("89ab").find(uuid[19]) != std::string::npos);
  CHECK(uuid != random_uuid());
}

}  // namespace trunkline
