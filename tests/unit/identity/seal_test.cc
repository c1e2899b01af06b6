// SPDX-License-Identifier: Apache-2.0
#include "identity/seal.h"

#include "tests/support/catch.h"

namespace trunkline::identity {

TEST_CASE("a sealed secret opens with its key and its context only", "[identity][S-01]") {
  const Seal seal(Secret(std::string(32, 'k')));
  const Secret secret(std::string("\0binary\xFF", 8));
  const auto sealed = seal.close(secret, "dev-1");
  CHECK(sealed.size() == 12 + 8 + 16);
  CHECK(sealed.find("binary") == std::string::npos);
  CHECK(seal.open(sealed, "dev-1").value() == secret);
  CHECK(seal.open(sealed, "dev-2").error().code == ErrorCode::corrupt);
  CHECK(!Seal(Secret(std::string(32, 'x'))).open(sealed, "dev-1"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto damaged = sealed;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    CHECK(!seal.open(damaged, "dev-1"));
    CHECK(!seal.open(sealed.substr(0, i), "dev-1"));
  }
}

TEST_CASE("the same secret is sealed differently each time", "[identity]") {
  const Seal seal(Secret(std::string(32, 'k')));
  CHECK(seal.close(Secret("s"), "c") != seal.close(Secret("s"), "c"));
  CHECK(seal.open(seal.close(Secret(), "c"), "c").value().empty());
}

}  // namespace trunkline::identity
