// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/mailbox.h"

#include <memory>

#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("a mailbox wakes its owner once per empty-to-filled edge and gives everything in order", "[base]") {
  Mailbox<int> mailbox;
  int wakes = 0;
  mailbox.set_wake([&] { ++wakes; });
  mailbox.push(1);
  mailbox.push(2);
  int three = 3;
  CHECK(mailbox.try_push(three));
  CHECK(wakes == 1);
  std::vector<int> taken{9};
  mailbox.take(taken);
  CHECK(taken == std::vector<int>{1, 2, 3});
  CHECK(mailbox.size() == 0);
  mailbox.take(taken);
  CHECK(taken.empty());
  mailbox.push(4);
  CHECK(wakes == 2);
}

TEST_CASE("a full mailbox refuses, keeps the value with its sender and lets what is owed pass", "[base]") {
  Mailbox<std::unique_ptr<int>> mailbox(1);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  CHECK(mailbox.try_push(first));
  CHECK(!first);
  CHECK(!mailbox.try_push(second));
  REQUIRE(second);
  CHECK(*second == 2);
  mailbox.push(std::move(second));
  CHECK(mailbox.size() == 2);
}

}  // namespace trunkline
