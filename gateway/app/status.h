// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "gateway/base/clock.h"
#include "gateway/core/adapter.h"
#include "gateway/pipeline/command_keeper.h"
#include "gateway/pipeline/multiplexer.h"
#include "gateway/pipeline/store.h"
#include "gateway/pipeline/twin_keeper.h"

namespace trunkline::app {

// One look at everything, as the threads answered; what did not answer in time is missing.
struct Snapshot {
  std::optional<Store::Status> store;
  std::optional<Multiplexer::Status> uplink;
  std::vector<TwinKeeper::Status> twins{};        // in the order of uplink->devices
  std::vector<CommandKeeper::Status> commands{};  // likewise
  std::vector<AdapterStatus> adapters;
  Milliseconds clock_behind{0};  // this machine's clock behind the hub's, at least
  std::uint64_t used_bytes = 0;  // of the spool
  std::uint64_t room_bytes = 0;
};

// ok: nothing to do. degraded: data is safe, something is not as it should be. failed: data is at risk or nothing
// moves.
struct Verdict {
  enum class Level { ok, degraded, failed };
  Level level = Level::ok;
  std::string reason;  // the one that matters most
  std::string action;  // what the engineer does next
};

// Pure.
Verdict judge(const Snapshot& snapshot, const config::Settings& settings);
std::string to_json(const Snapshot& snapshot, const config::Settings& settings, SteadyTime now, WallTime wall);

}  // namespace trunkline::app
