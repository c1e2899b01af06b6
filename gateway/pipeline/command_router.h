// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/multiplexer.h"
#include "gateway/pipeline/spool.h"
#include "gateway/pipeline/store.h"

namespace trunkline {

// Names one command of one device across redeliveries, connections and restarts.
struct CommandKey {
  DeviceSlot slot;
  std::uint64_t sequence = 0;
  WallTime enqueued{};
  std::string id;
  friend auto operator<=>(const CommandKey&, const CommandKey&) = default;
};

// Carries commands to their devices and outcomes back, exactly one each (C-01): accepted and rejected are committed
// before they go up, and a redelivery repeats the outcome instead of the act. Pure state; no thread, clock or I/O.
// Everything on the hub thread but the completions it hands out, which only post.
class CommandRouter final : public CommandSink {
 public:
  struct Ports {
    // Hands a command to the adapter of the device; never blocks.
    std::function<void(DeviceSlot, Command, Completion<Outcome>)> deliver;
    // Sends an outcome up.
    std::function<void(CommandTag, const Outcome&)> settle;
    // Asks the store to commit a record.
    std::function<void(CommandRecord, Completion<Recorded>)> record;
    // Runs a function on the hub thread; called from any thread.
    std::function<void(std::function<void()>)> post;
    // Tells the multiplexer that a command is over, for its credit.
    std::function<void(DeviceSlot, Outcome::Kind)> finished;
    // Whether commands of this device are taken into our own care; then `keep` does it, the record with it.
    std::function<bool(DeviceSlot)> keeps = [](DeviceSlot) { return false; };
    std::function<void(DeviceSlot, Command, CommandRecord, Completion<Outcome>)> keep{};
  };

  CommandRouter(Ports ports, const Clock& clock, Metrics& metrics);

  // Before the first command: what earlier runs committed, the oldest first.
  void remember(DeviceSlot slot, const CommandRecord& record);

  void on_command(DeviceSlot slot, Command command, CommandTag tag) override;

 private:
  struct Active {
    CommandTag tag;
    DeviceId device;
  };
  void on_outcome(const CommandKey& key, Outcome outcome);
  void take(const CommandKey& key, Command command);
  void on_kept(const CommandKey& key, const Outcome& outcome);
  void on_recorded(const CommandKey& key, Outcome outcome, Recorded recorded);
  void settle(const CommandKey& key, const Outcome& outcome);
  void keep(const CommandKey& key, const Outcome& outcome);

  Ports ports_;
  const Clock& clock_;
  std::map<CommandKey, Active> active_;
  std::map<CommandKey, Outcome> known_;
  std::deque<CommandKey> order_;  // of known_, the oldest first
  Metric& received_;
  Metric& accepted_;
  Metric& rejected_;
  Metric& released_;
  Metric& repeated_;
};

}  // namespace trunkline
