// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/base/backoff.h"
#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/note.h"
#include "gateway/pipeline/store.h"

namespace trunkline {

// Queue mode (C-01, command_done = "stored"): commands of devices that sleep are taken into the gateway's own care and
// completed at the hub once that is committed, with the record that suppresses a redelivery in the same commit. Each is
// given to its device when that can be reached, one at a time and in order, again and again until the device did it, it
// can never be done, or it expired; the next one goes when the end of the one before is committed, so that a crash
// repeats one at most. Bounded per device and, by `reserve`, in total: what does not fit is released, never taken.
// Pure state; no thread, clock or I/O: events record, tick acts. Everything on the hub thread but the completions it
// hands out, which only post.
class CommandKeeper final {
 public:
  struct Limits {
    bool takes = true;  // false: only what an earlier run took is still delivered
    std::size_t commands = 100;
    std::uint64_t bytes = 256 * 1024;
    Milliseconds keep{48LL * 3'600'000};  // from the taking; the service's own expiry may be earlier
    Milliseconds timeout{45'000};         // of a device, for one attempt
  };
  struct Ports {
    std::function<void(DeviceSlot, Command, Completion<Outcome>)> deliver;
    std::function<void(Note, Completion<Recorded>)> note;
    std::function<void(std::function<void()>)> post;  // onto the hub thread; called from any
    std::function<bool(DeviceSlot)> reachable;
    std::function<void(DeviceSlot, bool)> full;  // no further command of the hub is wanted; told when it changes
    std::function<bool(std::uint64_t)> reserve;
    std::function<void(std::uint64_t)> give_back;
  };
  CommandKeeper(Ports ports, const Clock& clock, Metrics& metrics, std::uint64_t seed);
  ~CommandKeeper();

  void add(DeviceSlot slot, const DeviceId& device, const Limits& limits);
  // What an earlier run took, in its order; before the first event. Its room has been reserved.
  void restore(DeviceSlot slot, KeptCommand kept);

  [[nodiscard]] bool takes(DeviceSlot slot) const;
  // Answers accepted once it is committed, released if there is no room or the gateway stops before.
  void take(DeviceSlot slot, Command command, CommandRecord record, Completion<Outcome> done);

  void presence(DeviceSlot slot, Presence presence);
  // The device said something: it is worth another attempt now.
  void heard(DeviceSlot slot);
  // Some device did not take its command and waits for its next attempt, so `heard` may matter.
  [[nodiscard]] bool retries() const { return retrying_ > 0; }

  SteadyTime tick(SteadyTime now, WallTime wall);

  struct Status {
    bool takes = false;
    std::uint64_t commands = 0;
    std::uint64_t bytes = 0;
    std::string fault;  // why the first one is not delivered yet, or what failed last
  };
  [[nodiscard]] Status status(DeviceSlot slot) const;

 private:
  struct Line;
  Line* find(DeviceSlot slot) const { return slot.value < lines_.size() ? lines_[slot.value].get() : nullptr; }
  void touch(Line& line);
  void wake_at(SteadyTime deadline, Line& line);
  void advance(Line& line);
  void deliver_first(Line& line);
  void on_taken(DeviceSlot slot, std::uint64_t number, bool durable);
  void on_outcome(DeviceSlot slot, std::uint64_t number, const Outcome& outcome);
  void end(Line& line, std::uint64_t number, EndedCommand::Fate fate);
  void on_ended(DeviceSlot slot, std::uint64_t number, EndedCommand::Fate fate);
  void leave(Line& line, std::uint64_t bytes);
  [[nodiscard]] static bool is_full(const Line& line);
  void show_full(Line& line);
  void set_retrying(Line& line, bool retrying);

  const Ports ports_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Line>> lines_;  // by slot; null without
  std::vector<DeviceSlot> touched_;
  std::set<std::pair<SteadyTime, std::uint32_t>> timers_;
  SteadyTime now_{};
  WallTime wall_{};
  std::uint64_t next_number_ = 1;
  std::size_t retrying_ = 0;
  const std::uint64_t seed_;
  Metric& taken_;
  Metric& refused_;
  Metric& delivered_;
  Metric& expired_;
  Metric& failed_;
  Metric& attempts_;
  Metric& kept_;
};

}  // namespace trunkline
