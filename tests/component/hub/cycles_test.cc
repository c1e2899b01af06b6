// SPDX-License-Identifier: Apache-2.0
// Devices that come and go for ever on one connection.
#include <malloc.h>

#include <cstdlib>
#include <iostream>

#include "tests/component/hub/rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#endif

using namespace trunkline;
using namespace trunkline::tests;

namespace {

constexpr DeviceLink kAll[] = {DeviceLink::telemetry, DeviceLink::commands, DeviceLink::methods, DeviceLink::twin};

// What the program holds, not what the allocator keeps: gateway and simulator together.
std::size_t live_bytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return __sanitizer_get_current_allocated_bytes();
#else
  return ::mallinfo2().uordblks;
#endif
}

std::size_t setting(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("devices that attach and detach for ever leave nothing behind", "[I-01][R-01]") {
  // 10000 over 500 is the long form.
  const auto cycles = setting("TRUNKLINE_HUB_CYCLES", 1000);
  const auto devices = setting("TRUNKLINE_HUB_DEVICES", 50);
  Rig rig({}, [](hubsim::HubOptions& hub) { hub.record_bodies = false; });
  rig.connect();
  std::vector<DeviceSlot> slots;
  for (std::size_t i = 0; i < devices; ++i) slots.push_back(rig.add("d" + std::to_string(i)));
  const auto round = [&](std::size_t number) {
    for (const auto slot : slots) {
      rig.events(slot) = {};
      rig.authorise(slot);
    }
    for (const auto slot : slots) {
      REQUIRE(rig.until([&] { return rig.events(slot).authorised == 1; }));
      for (const auto which : kAll) rig.link->attach(slot, which);
    }
    for (const auto slot : slots) {
      for (const auto which : kAll) REQUIRE(rig.until([&] { return rig.events(slot).attached[which] == 1; }));
      rig.link->grant_commands(slot, 1);
      REQUIRE(rig.send(slot, "x") == Uplink::SendResult::sent);
    }
    for (const auto slot : slots) {
      // Every way to part: settled, unsettled, with a link gone, and by the hub.
      if (number % 4 == 0) REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == 1; }));
      const auto quoted = "\"device\":\"" + rig.id(slot).text() + "\"}";
      if (number % 4 == 2) {
        rig.control(R"({"op":"detach","link":"methods",)" + quoted);
        REQUIRE(rig.until([&] { return !rig.events(slot).detached.empty(); }));
      } else if (number % 4 == 3) {
        rig.control(R"({"op":"end_session",)" + quoted);
        REQUIRE(rig.until([&] { return rig.events(slot).detached.size() == std::size(kAll); }));
      }
      rig.link->detach(slot);
    }
  };
  const auto rounds = std::max<std::size_t>(cycles / devices, 12);
  std::size_t early = 0;
  std::chrono::steady_clock::duration first{}, last{};
  for (std::size_t i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    round(i);
    const auto took = std::chrono::steady_clock::now() - begin;
    if (i == 7) {
      early = live_bytes();
      first = took;
    }
    last = took;
  }
  // The last round is of the same way as the eighth.
  for (auto i = rounds; i % 4 != 0; ++i) round(i);
  const auto late = live_bytes();
  std::cout << rounds * devices << " cycles: live bytes " << early << " after 8 rounds, " << late
            << " at the end; a round took " << std::chrono::duration_cast<std::chrono::milliseconds>(first).count()
            << " and " << std::chrono::duration_cast<std::chrono::milliseconds>(last).count() << " ms\n";
  // 24 KB would be one device's links; a leak of one link a cycle would be 3 KB a cycle.
  const auto more = rounds > 8 ? (rounds - 8) * devices : 0;
  CHECK(late < early + 200'000 + more * 20);
  CHECK(rig.lost.empty());
  CHECK(rig.server->connections_ever() == 1);
}
