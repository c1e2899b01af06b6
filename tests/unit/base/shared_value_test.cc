// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/shared_value.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.h"

namespace trunkline {
namespace {

TEST_CASE("P-04: copies of a shared value are one object until one of them is changed") {
  SharedValue<std::string> first("listen");
  const std::vector<SharedValue<std::string>> copies(1000, first);
  const auto* shared = std::as_const(first).operator->();
  for (const auto& copy : copies) REQUIRE(copy.operator->() == shared);

  *first += "er";
  CHECK(*std::as_const(first) == "listener");
  CHECK(std::as_const(first).operator->() != shared);
  for (const auto& copy : copies) {
    REQUIRE(*copy == "listen");
    REQUIRE(copy.operator->() == shared);
  }
}

TEST_CASE("a shared value that nobody else has is changed in its place") {
  SharedValue<std::vector<int>> value;
  CHECK_FALSE(value);
  value.emplace().push_back(1);
  const auto* place = std::as_const(value).operator->();
  value->push_back(2);
  CHECK(std::as_const(value).operator->() == place);
  CHECK(*std::as_const(value) == std::vector{1, 2});

  auto copy = value;
  value.reset();
  CHECK_FALSE(value.has_value());
  CHECK(copy.has_value());
  copy->push_back(3);
  CHECK(std::as_const(copy).operator->() == place);
}

TEST_CASE("emplace leaves those alone who share the value") {
  SharedValue<std::string> value("old");
  const auto copy = value;
  value.emplace() = "new";
  CHECK(*copy == "old");
  CHECK(*std::as_const(value) == "new");
}

}  // namespace
}  // namespace trunkline
