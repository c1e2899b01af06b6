// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/exchange_table.h"

#include <string_view>
#include <vector>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using coap::Code;
using coap::ExchangeTable;
using Kind = ExchangeTable::Seen::Kind;

namespace {

const SteadyTime kStart{1'000s};

coap::Peer peer(std::uint16_t port) {
  return {*coap::parse_address("10.0.0.7"), port};
}

coap::Request request(std::uint16_t id, std::string_view payload = "x") {
  coap::Request out;
  out.message_id = id;
  out.token.bytes[0] = 9;
  out.token.size = 1;
  out.payload = payload;
  return out;
}

}  // namespace

TEST_CASE("a retransmission is told from a new request", "[D-03]") {
  ExchangeTable table;
  const auto first = table.see(peer(1), request(7), kStart);
  CHECK(first.kind == Kind::fresh);
  CHECK(table.see(peer(1), request(7), kStart + 2s).kind == Kind::pending);
  table.answer(first.id, {Code::changed, 0});
  const auto again = table.see(peer(1), request(7), kStart + 4s);
  CHECK(again.kind == Kind::answered);
  CHECK(again.reply == ExchangeTable::Reply{Code::changed, 0});

  CHECK(table.see(peer(2), request(7), kStart).kind == Kind::fresh);
  CHECK(table.see(peer(1), request(8), kStart).kind == Kind::fresh);
  auto other_token = request(7);
  other_token.token.bytes[0] = 10;
  CHECK(table.see(peer(1), other_token, kStart).kind == Kind::fresh);
}

TEST_CASE("a device that restarts with the same message id is not silenced", "[D-01]") {
  ExchangeTable table;
  table.answer(table.see(peer(1), request(1, "20.1"), kStart).id, {Code::changed, 0});
  CHECK(table.see(peer(1), request(1, "20.2"), kStart + 1s).kind == Kind::fresh);
}

TEST_CASE("an exchange is forgotten after EXCHANGE_LIFETIME", "[D-03]") {
  ExchangeTable table;
  const auto first = table.see(peer(1), request(1), kStart);
  table.answer(first.id, {Code::changed, 0});
  CHECK(table.see(peer(1), request(1), kStart + 246s).kind == Kind::answered);
  CHECK(table.see(peer(1), request(1), kStart + 247s).kind == Kind::fresh);
  CHECK(table.size() == 1);
}

TEST_CASE("one peer holds a bounded number of exchanges, and those that wait stay", "[I-01]") {
  ExchangeTable table({4, 100});
  std::vector<std::uint64_t> ids;
  for (std::uint16_t i = 0; i < 4; ++i) ids.push_back(table.see(peer(1), request(i), kStart).id);
  CHECK(table.see(peer(1), request(4), kStart).kind == Kind::busy);
  CHECK(table.see(peer(2), request(4), kStart).kind == Kind::fresh);
  table.answer(ids[1], {Code::changed, 0});
  CHECK(table.see(peer(1), request(4), kStart).kind == Kind::fresh);
  CHECK(table.see(peer(1), request(0), kStart).kind == Kind::pending);
  CHECK(table.size() == 5);
}

TEST_CASE("all peers together hold a bounded number of exchanges", "[I-01]") {
  ExchangeTable table({4, 10});
  std::vector<std::uint64_t> ids;
  for (std::uint16_t i = 0; i < 10; ++i) ids.push_back(table.see(peer(i), request(1), kStart).id);
  CHECK(table.see(peer(10), request(1), kStart).kind == Kind::busy);
  table.answer(ids[3], {Code::changed, 0});
  CHECK(table.see(peer(10), request(1), kStart).kind == Kind::fresh);
  CHECK(table.size() == 10);
  CHECK(table.see(peer(0), request(1), kStart).kind == Kind::pending);
  for (const auto id : ids) table.answer(id, {Code::changed, 0});
  for (std::uint16_t i = 100; i < 1000; ++i) {
    const auto seen = table.see(peer(i), request(1), kStart);
    REQUIRE(seen.kind == Kind::fresh);
    table.answer(seen.id, {Code::changed, 0});
    REQUIRE(table.size() <= 10);
  }
}

TEST_CASE("5.03 is repeated with its Max-Age") {
  ExchangeTable table;
  table.answer(table.see(peer(1), request(1), kStart).id, {Code::unavailable, 3});
  CHECK(table.see(peer(1), request(1), kStart).reply == ExchangeTable::Reply{Code::unavailable, 3});
}
