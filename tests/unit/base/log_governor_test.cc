// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/log_governor.h"

#include <string>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using log::Governor;

namespace {

const SteadyTime kStart = SteadyTime{} + 1h;

// How many of `count` like lines are written.
unsigned written(Governor& governor, unsigned count, SteadyTime now, const std::string& subject = "a") {
  unsigned out = 0;
  for (unsigned i = 0; i < count; ++i) out += governor.admit("message_refused", subject, true, now).write ? 1 : 0;
  return out;
}

}  // namespace

TEST_CASE("what repeats is written ten times a minute, then counted, and the count is said", "[S-01]") {
  Governor governor;
  CHECK(written(governor, 100, kStart) == Governor::kRepeats);
  CHECK(written(governor, 1, kStart, "b") == 1);  // another subject is another line
  CHECK(governor.admit("device_connected", "a", false, kStart + 1s).write);

  const auto later = governor.admit("device_connected", "c", false, kStart + 61s);
  CHECK(later.write);
  REQUIRE(later.omitted.size() == 1);
  CHECK(later.omitted[0].event == "message_refused");
  CHECK(later.omitted[0].subject == "a");
  CHECK(later.omitted[0].count == 90);
  CHECK(written(governor, 1, kStart + 61s) == 1);
}

TEST_CASE("all lines together are capped, and chatter hides no warning", "[S-01]") {
  Governor governor;
  unsigned out = 0;
  for (unsigned i = 0; i < 10'000; ++i) {
    out += governor.admit("device_connected", std::to_string(i), false, kStart).write ? 1 : 0;
  }
  CHECK(out == static_cast<unsigned>(Governor::kBurst));
  CHECK(governor.admit("spool_commit_failed", "x", true, kStart).write);

  out = 0;
  std::uint64_t told = 0;
  for (unsigned i = 0; i < 10'000; ++i) {
    const auto verdict = governor.admit("device_connected", "more" + std::to_string(i), false, kStart + 10s);
    out += verdict.write ? 1 : 0;
    for (const auto& omitted : verdict.omitted) told += omitted.event.empty() ? omitted.count : 0;
  }
  CHECK(out == static_cast<unsigned>(10 * Governor::kPerSecond));
  CHECK(told == 10'000 - static_cast<unsigned>(Governor::kBurst));
}

TEST_CASE("of many that fail all day each is said once, some repeats, and the rest in a line now and then", "[S-01]") {
  Governor governor;
  unsigned first = 0;
  unsigned lines = 0;
  std::uint64_t told = 0;
  std::uint64_t asked = 0;
  std::uint64_t most = 0;
  for (auto now = kStart; now < kStart + 24h; now += 1min) {
    for (unsigned i = 0; i < 1000; ++i) {
      const auto verdict = governor.admit("device_refused", "device=" + std::to_string(i), true, now);
      ++asked;
      lines += (verdict.write ? 1 : 0) + static_cast<unsigned>(verdict.omitted.size());
      if (now == kStart) first += verdict.write ? 1 : 0;
      told += verdict.write ? 1 : 0;
      for (const auto& omitted : verdict.omitted) {
        told += omitted.count;
        most = std::max(most, omitted.subjects);
      }
    }
  }
  CHECK(first == 1000);
  CHECK(lines < 1000 + Governor::kEventBurst + 24 * 120 + 24 * 6 + 10);
  CHECK(most >= 990);  // "and about a thousand others"
  CHECK(told <= asked);
  CHECK(told > asked * 9 / 10);  // nothing vanishes without being counted; the last ten minutes are still to be said
  // Somebody new is not hidden by those, and nor is one that was well for long.
  CHECK(governor.admit("device_refused", "device=new", true, kStart + 24h).write);
  CHECK(governor.admit("device_refused", "device=7", true, kStart + 26h).write);
}

TEST_CASE("subjects that a peer makes up take bounded memory, and are forgotten after their window", "[S-01]") {
  Governor governor;
  for (unsigned i = 0; i < 100'000; ++i) (void)governor.admit("device_unknown", std::to_string(i), true, kStart);
  // The table is full: a new subject is under the cap alone; after the window it is watched again.
  CHECK(written(governor, 100, kStart + 59s, "late") == 100);
  CHECK(written(governor, 100, kStart + 200s, "late") == Governor::kRepeats);
}
