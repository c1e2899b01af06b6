// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/secret.h"

#include <fmt/format.h>

#include <sstream>
#include <type_traits>

#include "tests/support/catch.h"

namespace trunkline {
namespace {

template <class T, class = void>
struct Streams : std::false_type {};
template <class T>
struct Streams<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<const T&>())>> : std::true_type {};

}  // namespace

TEST_CASE("a secret cannot be printed", "[base][S-01]") {
  CHECK(Streams<std::string>::value);
  CHECK(!Streams<Secret>::value);
  CHECK(!fmt::is_formattable<Secret>::value);
  CHECK(!std::is_convertible_v<Secret, std::string>);
}

TEST_CASE("a secret that was moved or replaced leaves nothing behind", "[base][S-01]") {
  Secret one(std::string(40, 'k'));
  const auto* bytes = one.reveal().data();
  Secret two(std::move(one));
  CHECK(one.empty());
  CHECK(two.reveal() == std::string(40, 'k'));
  CHECK(two.reveal().data() == bytes);

  Secret small(std::string("short"));
  const auto* inside = small.reveal().data();
  Secret taken(std::move(small));
  CHECK(std::string(inside, 5) == std::string(5, '\0'));
  taken = two;
  CHECK(taken == two);
  taken = Secret();
  CHECK(taken.empty());
  auto& self = two;
  two = self;
  CHECK(two.reveal().size() == 40);
}

TEST_CASE("secrets compare by their bytes", "[base]") {
  CHECK(Secret("a") == Secret("a"));
  CHECK(!(Secret("a") == Secret("b")));
  CHECK(!(Secret("a") == Secret("ab")));
  CHECK(Secret() == Secret(""));
}

}  // namespace trunkline
