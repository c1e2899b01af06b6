// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/body_table.h"

#include <string>

#include "adapters/coap/peer_rate.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using coap::Block;
using coap::BodyTable;
using coap::Code;

namespace {

const SteadyTime kStart{1h};

coap::Speaker speaker(std::uint16_t port) {
  coap::Speaker out;
  out.peer.port = port;
  return out;
}

coap::Request part(std::uint32_t number, bool more, std::string_view payload, std::uint8_t exponent = 0) {
  coap::Request out;
  out.path = "/t";
  out.block1 = Block{number, more, exponent};
  out.payload = payload;
  return out;
}

const std::string kSixteen(16, 'a');

}  // namespace

TEST_CASE("blocks in order make one body, and others are asked for again from the start") {
  BodyTable table({100, 1000, 10});
  const auto first = table.take(speaker(1), 0, part(0, true, kSixteen), kStart);
  CHECK_FALSE(first.whole);
  CHECK(first.answer == Code::next_part);
  CHECK(table.bytes() == 16);
  CHECK(table.take(speaker(2), 0, part(1, false, "other peer"), kStart).answer == Code::incomplete);
  CHECK(table.take(speaker(1), 1, part(1, false, "other device"), kStart).answer == Code::incomplete);
  CHECK(table.take(speaker(1), 0, part(1, true, kSixteen), kStart).answer == Code::next_part);
  const auto last = table.take(speaker(1), 0, part(2, false, "end"), kStart);
  REQUIRE(last.whole);
  CHECK(last.body == kSixteen + kSixteen + "end");
  CHECK(table.bytes() == 0);

  CHECK(table.take(speaker(1), 0, part(0, true, kSixteen), kStart).answer == Code::next_part);
  CHECK(table.take(speaker(1), 0, part(2, true, kSixteen), kStart).answer == Code::incomplete);
  CHECK(table.bytes() == 0);
  CHECK(table.take(speaker(1), 0, part(0, true, "short"), kStart).answer == Code::bad_request);
}

TEST_CASE("a body beyond the limit is refused before it is kept, whatever its size is said to be", "[D-06]") {
  BodyTable table({40, 1000, 10});
  auto claims = part(0, true, kSixteen);
  claims.size1 = 1ULL << 30;
  CHECK(table.take(speaker(1), 0, claims, kStart).answer == Code::too_large);
  CHECK(table.bytes() == 0);
  claims.size1 = 17;  // and lies
  CHECK(table.take(speaker(1), 0, claims, kStart).answer == Code::next_part);
  CHECK(table.take(speaker(1), 0, part(1, true, kSixteen), kStart).answer == Code::next_part);
  CHECK(table.take(speaker(1), 0, part(2, true, kSixteen), kStart).answer == Code::too_large);
  CHECK(table.bytes() == 0);
  coap::Request whole;
  const std::string large(41, 'x');
  whole.payload = large;
  CHECK(table.take(speaker(1), 0, whole, kStart).answer == Code::too_large);
}

TEST_CASE("unfinished bodies are bounded in all, and the one that rests longest makes room", "[D-06]") {
  BodyTable table({100, 48, 10});
  for (std::uint16_t peer = 1; peer <= 4; ++peer) {
    CHECK(table.take(speaker(peer), 0, part(0, true, kSixteen), kStart + peer * 1s).answer == Code::next_part);
    CHECK(table.bytes() <= 48);
  }
  CHECK(table.take(speaker(1), 0, part(1, false, "x"), kStart + 5s).answer == Code::incomplete);
  CHECK(table.take(speaker(2), 0, part(1, false, "x"), kStart + 5s).whole);

  BodyTable few({100, 1000, 2});
  for (std::uint16_t peer = 1; peer <= 100; ++peer) {
    few.take(speaker(peer), 0, part(0, true, kSixteen), kStart + peer * 1s);
    CHECK(few.bytes() <= 32);
  }
  few.take(speaker(200), 0, part(0, true, kSixteen), kStart + 1h);  // the others have waited too long
  CHECK(few.bytes() == 16);
}

TEST_CASE("a peer that asks faster than it may is told so, and nobody else", "[I-01]") {
  coap::PeerRate rate(10, 2);
  const auto flood = speaker(1).peer;
  int allowed = 0;
  for (int i = 0; i < 100; ++i) allowed += rate.allow(flood, kStart) ? 1 : 0;
  CHECK(allowed == 10);
  CHECK(rate.allow(speaker(2).peer, kStart));
  CHECK_FALSE(rate.allow(flood, kStart));
  CHECK(rate.allow(flood, kStart + 100ms));
  CHECK_FALSE(rate.allow(flood, kStart + 100ms));
  CHECK(rate.allow(speaker(3).peer, kStart));  // not counted: as many are known as may be
  coap::PeerRate off(0, 2);
  for (int i = 0; i < 100; ++i) CHECK(off.allow(flood, kStart));
}
