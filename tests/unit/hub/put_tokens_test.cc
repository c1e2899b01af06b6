// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/put_tokens.h"

#include "tests/support/catch.h"

using namespace trunkline;
using hub::PutTokens;

namespace {

constexpr PutTokens::Limits kLimits{2, Milliseconds(30'000), 3};

SteadyTime at(int seconds) {
  return SteadyTime(std::chrono::hours(1) + std::chrono::seconds(seconds));
}
Token token(const std::string& text) {
  return {"hub/devices/" + text, Secret(text), {}};
}

}  // namespace

TEST_CASE("no more requests are outstanding than the window allows, in order of request") {
  PutTokens tokens("p", kLimits);
  for (std::uint32_t i = 0; i < 3; ++i) tokens.request({i}, token(std::to_string(i)), at(0));
  const auto first = tokens.next(at(0));
  const auto second = tokens.next(at(0));
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->slot == DeviceSlot{0});
  CHECK(first->token.audience == "hub/devices/0");
  CHECK(second->slot == DeviceSlot{1});
  CHECK_FALSE(tokens.next(at(0)));

  CHECK(tokens.answered(second->message_id, at(1)) == DeviceSlot{1});  // answers come in any order
  const auto third = tokens.next(at(1));
  REQUIRE(third);
  CHECK(third->slot == DeviceSlot{2});
  CHECK(third->message_id != first->message_id);
}

TEST_CASE("an answer counts once, and only with the id of a request") {
  PutTokens tokens("p", kLimits);
  tokens.request({7}, token("a"), at(0));
  const auto request = tokens.next(at(0));
  REQUIRE(request);
  for (const auto* stranger : {"", "1", "p", "p-", "p-2", "p-01", "q-1", "p-1 ", "p-18446744073709551616"}) {
    INFO(stranger);
    CHECK_FALSE(tokens.answered(stranger, at(0)));
  }
  CHECK(tokens.answered(request->message_id, at(0)) == DeviceSlot{7});
  CHECK_FALSE(tokens.answered(request->message_id, at(0)));
}

TEST_CASE("a newer request of a device replaces the older one") {
  PutTokens tokens("p", kLimits);
  tokens.request({1}, token("old"), at(0));
  const auto old = tokens.next(at(0));
  tokens.request({1}, token("new"), at(0));
  const auto newer = tokens.next(at(0));
  REQUIRE(newer);
  CHECK(newer->token.text.reveal() == "new");
  CHECK_FALSE(tokens.answered(old->message_id, at(1)));
  CHECK(tokens.answered(newer->message_id, at(1)) == DeviceSlot{1});
}

TEST_CASE("a cancelled request is not written, and its answer tells nobody") {
  PutTokens tokens("p", kLimits);
  tokens.request({1}, token("a"), at(0));
  tokens.request({2}, token("b"), at(0));
  const auto first = tokens.next(at(0));
  tokens.cancel({1});
  tokens.cancel({2});
  CHECK_FALSE(tokens.next(at(0)));
  CHECK_FALSE(tokens.answered(first->message_id, at(0)));
  CHECK(tokens.deadline() == kNever);
}

TEST_CASE("a request that is not answered in time is given up, and makes room") {
  PutTokens tokens("p", kLimits);
  for (std::uint32_t i = 0; i < 3; ++i) tokens.request({i}, token("t"), at(0));
  tokens.next(at(0));
  tokens.next(at(10));
  CHECK(tokens.deadline() == at(30));
  CHECK(tokens.expire(at(29)).empty());
  CHECK(tokens.expire(at(30)) == std::vector<DeviceSlot>{{0}});
  CHECK(tokens.deadline() == at(40));
  const auto third = tokens.next(at(30));
  REQUIRE(third);
  CHECK(third->slot == DeviceSlot{2});
}

TEST_CASE("one silent device is no stall, several in a row without any answer are") {
  PutTokens tokens("p", kLimits);
  for (std::uint32_t i = 0; i < 5; ++i) tokens.request({i}, token("t"), at(0));
  tokens.next(at(0));
  tokens.next(at(0));
  tokens.expire(at(30));
  CHECK_FALSE(tokens.stalled(at(30)));

  SECTION("an answer in between proves that $cbs lives") {
    const auto alive = tokens.next(at(30));
    tokens.next(at(30));
    tokens.answered(alive->message_id, at(31));
    tokens.expire(at(60));
    CHECK_FALSE(tokens.stalled(at(60)));
  }
  SECTION("silence does not") {
    tokens.next(at(30));
    tokens.expire(at(60));
    CHECK(tokens.stalled(at(60)));
  }
}

TEST_CASE("requests that cannot be written for lack of credit are a stall at the same limit") {
  PutTokens tokens("p", kLimits);
  CHECK(tokens.deadline() == kNever);
  tokens.request({1}, token("a"), at(5));
  CHECK(tokens.deadline() == at(35));
  CHECK_FALSE(tokens.stalled(at(34)));
  CHECK(tokens.stalled(at(35)));
}
