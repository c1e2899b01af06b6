// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/hub_time.h"

#include "tests/support/catch.h"

using namespace trunkline;
using hub::HubTime;
using namespace std::chrono_literals;

namespace {

constexpr WallTime kHere = std::chrono::sys_days(std::chrono::year(2025) / 7 / 1) + 12h;
const SteadyTime kNow = SteadyTime() + 1000h;

}  // namespace

TEST_CASE("a clock of which nothing is known is not behind") {
  HubTime time;
  CHECK(time.behind(kHere, kNow) == 0ms);
  CHECK(time.advice(kHere, kNow).empty());
}

TEST_CASE("what the hub stamped bounds its clock from below") {
  HubTime time;
  time.at_least(kHere + 10min, kNow);
  CHECK(time.behind(kHere, kNow) == 10min);
  CHECK(time.advice(kHere, kNow) == "this machine's clock is at least 10 min behind the hub's: set it");
  time.at_least(kHere + 1min, kNow);  // says less
  CHECK(time.behind(kHere, kNow) == 10min);
  SECTION("for as long as the clock is not set") {
    CHECK(time.behind(kHere + 1h, kNow + 1h) == 10min);
    CHECK(time.behind(kHere + 1h + 9min, kNow + 1h) == 1min);
    CHECK(time.behind(kHere + 2h, kNow + 1h) == 0min);
  }
  SECTION("and five minutes are no matter to the hub") {
    CHECK(time.advice(kHere + 5min, kNow).empty());
    CHECK_FALSE(time.advice(kHere + 4min, kNow).empty());
  }
}

TEST_CASE("a token that expired for the hub but not for us is a bound") {
  HubTime time;
  time.token_refused("The specified SAS token is expired", kHere + 1h, kNow);
  CHECK(time.advice(kHere, kNow) == "this machine's clock is at least 60 min behind the hub's: set it");
}

TEST_CASE("a token that was refused for another reason says nothing about the clock") {
  HubTime time;
  time.token_refused("The specified SAS token has an invalid signature", kHere + 1h, kNow);
  CHECK(time.behind(kHere, kNow) == 0ms);
}

TEST_CASE("stamps in the hub's texts are read, other times are not") {
  const std::pair<const char*, Milliseconds> rows[] = {
      {R"({"errorCode":401002,"trackingId":"x-TimeStamp:2025-07-01T12:20:00.653313718Z","timestampUtc":"2025-07-01T12:30:00.653313718Z","info":null})",
       30min},
      {"ExpiredToken: The token is expired. Expiration time: '2025-07-01 12:45:00Z'", 45min},
      {"The token is expired. TrackingId:1, SystemTracker:NoSystemTracker, Timestamp:2025-07-01T12:10:58", 10min + 58s},
      {"until 2025-07-02T12:00:00Z", 0ms},
      {R"("timestampUtc":"2025-13-01T12:30:00Z")", 0ms},
      {R"("timestampUtc":"2025-07-01T25:30:00Z")", 0ms},
      {R"("timestampUtc":"9999-07-01T12:30:00Z")", 0ms},
      {R"("timestampUtc":"2025-07-01T12:3)", 0ms},
      {R"("timestampUtc":"2025-07-01Tab:30:00")", 0ms},
      {R"("timestampUtc")", 0ms},
      {"", 0ms},
  };
  for (const auto& [text, behind] : rows) {
    INFO(text);
    HubTime time;
    time.read(text, kNow);
    CHECK(time.behind(kHere, kNow) == behind);
  }
}

TEST_CASE("a certificate that is not valid yet bounds the hub's clock") {
  HubTime time;
  time.handshake_failed("hub:5671: certificate: certificate is not yet valid: it begins at 2025-07-03T12:00:00.000Z; x",
                        kNow);
  CHECK(time.behind(kHere, kNow) == 48h);
  HubTime other;
  other.handshake_failed("certificate: certificate has expired: it ended at 2025-07-03T12:00:00.000Z", kNow);
  CHECK(other.behind(kHere, kNow) == 0ms);
}
