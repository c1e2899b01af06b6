// SPDX-License-Identifier: Apache-2.0
#include "tests/component/trunk/trunk_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

TEST_CASE("two gateways with the same device: within 60 s one owns it and the other shows the conflict",
          "[R-01][I-01]") {
  TrunkRig rig(2);
  TrunkDriver first(rig.link(), TrunkRig::multiplexer(), rig.directory);
  TrunkDriver second(rig.link(), TrunkRig::multiplexer(), rig.directory);
  const auto mine = first.add(rig.names[0], {.commands = true}, Presence::reachable);
  const auto own = first.add(rig.names[1], {.commands = true}, Presence::reachable);
  REQUIRE(first.until([&] { return first.attached() == 2; }));
  const auto theirs = second.add(rig.names[0], {.commands = true}, Presence::reachable);

  const auto in_conflict = [](const TrunkDriver& driver, DeviceSlot slot) {
    const auto status = driver.status(slot);
    return status.state == SessionState::quarantined && status.fault.find("another client") != std::string::npos;
  };
  const auto begin = std::chrono::steady_clock::now();
  // One thread for both: in turns, until one gives up.
  while (!in_conflict(first, mine) && !in_conflict(second, theirs)) {
    REQUIRE(std::chrono::steady_clock::now() - begin < 60s);
    first.run_for(20ms);
    second.run_for(20ms);
  }
  auto& owner = in_conflict(first, mine) ? second : first;
  const auto slot = in_conflict(first, mine) ? theirs : mine;
  REQUIRE(owner.until([&] { return owner.status(slot).state == SessionState::ready; }));
  REQUIRE(first.status(own).fault.empty());
}
