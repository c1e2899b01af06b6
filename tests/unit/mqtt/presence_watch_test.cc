// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/presence_watch.h"

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using mqtt::PresenceWatch;

namespace {
const SteadyTime t0{1000s};
}

TEST_CASE("without a beat a device is reachable while the broker is", "[C-02]") {
  PresenceWatch watch({std::nullopt, std::nullopt});
  CHECK(watch.tick(t0).empty());
  watch.set_broker(true);
  const auto up = watch.tick(t0);
  REQUIRE(up.size() == 2);
  CHECK(up[1].presence == Presence::reachable);
  CHECK(watch.tick(t0 + 1h).empty());
  CHECK(watch.deadline() == kNever);
  watch.set_broker(false);
  CHECK(watch.tick(t0 + 1h).size() == 2);
  CHECK(watch.of(0) == Presence::away);
}

TEST_CASE("with a beat a device is reachable for three of them after it was heard", "[C-02]") {
  PresenceWatch watch({10s});
  watch.set_broker(true);
  CHECK(watch.tick(t0).empty());
  watch.heard(0, t0);
  CHECK(watch.tick(t0).size() == 1);
  CHECK(watch.of(0) == Presence::reachable);
  CHECK(watch.deadline() == t0 + 30s);
  watch.heard(0, t0 + 20s);
  CHECK(watch.tick(t0 + 30s).empty());
  CHECK(watch.deadline() == t0 + 50s);
  CHECK(watch.tick(t0 + 50s - 1ms).empty());
  const auto silent = watch.tick(t0 + 50s);
  REQUIRE(silent.size() == 1);
  CHECK(silent[0].presence == Presence::away);
  CHECK(watch.deadline() == kNever);
  watch.heard(0, t0 + 60s);
  CHECK(watch.tick(t0 + 60s).size() == 1);
}

TEST_CASE("a device heard before the broker went is reachable when it comes back in time", "[C-02]") {
  PresenceWatch watch({10s});
  watch.set_broker(true);
  watch.heard(0, t0);
  watch.tick(t0);
  watch.set_broker(false);
  CHECK(watch.tick(t0 + 1s).size() == 1);
  watch.set_broker(true);
  CHECK(watch.tick(t0 + 2s).size() == 1);
  CHECK(watch.of(0) == Presence::reachable);
  watch.set_broker(false);
  watch.tick(t0 + 3s);
  watch.set_broker(true);
  CHECK(watch.tick(t0 + 31s).empty());
  CHECK(watch.of(0) == Presence::away);
}

TEST_CASE("a last will or its bridge's takes a device away at once, a birth brings it back", "[C-02]") {
  PresenceWatch watch({std::nullopt, std::nullopt});
  watch.set_broker(true);
  watch.tick(t0);
  watch.said(0, false);
  REQUIRE(watch.tick(t0).size() == 1);
  CHECK(watch.of(0) == Presence::away);
  CHECK(watch.of(1) == Presence::reachable);
  watch.bridge_said(0, false);
  watch.bridge_said(1, false);
  CHECK(watch.tick(t0).size() == 1);
  watch.said(0, true);
  CHECK(watch.tick(t0).empty());
  watch.bridge_said(0, true);
  watch.bridge_said(1, std::nullopt);
  CHECK(watch.tick(t0).size() == 2);
  watch.said(0, false);
  watch.set_broker(false);
  watch.set_broker(true);
  watch.tick(t0);
  CHECK(watch.of(0) == Presence::away);
}
