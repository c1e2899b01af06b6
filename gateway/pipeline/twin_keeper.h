// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/multiplexer.h"
#include "gateway/pipeline/note.h"

namespace trunkline {

// The devices' twins. Desired properties are fetched whenever the twin links come up, kept here and in the spool's
// file, and written to the device as a patch until it confirmed them: whenever they change, and as a whole when the
// device comes back, hub or no hub. What the device reports is merged; what the hub does not know yet goes up, one
// patch at a time and at most one in `report_every`. With `report_state` the twin also says whether the device is
// connected, since when, when it was heard last, and which version of the desired properties it has. Pure state; no
// thread, clock or I/O: events record, tick acts. Everything on the hub thread but the completions it hands out, which
// only post.
class TwinKeeper final : public TwinSink {
 public:
  struct Options {
    Milliseconds report_every{1'000};
    Milliseconds answer_limit{20'000};  // of the hub, for a request
    Milliseconds write_limit{45'000};   // of a device, for a change of the desired properties
    bool report_state = false;
    Milliseconds heard_every{300'000};  // how often "lastHeard" is brought up to date while the device speaks
  };
  struct Ports {
    std::function<void(DeviceSlot, Command, Completion<Outcome>)> deliver;
    std::function<bool(DeviceSlot, const TwinRequest&)> ask;
    std::function<void(std::function<void()>)> post;  // onto the hub thread; called from any
    std::function<bool(DeviceSlot)> reachable;
    std::function<SteadyTime(DeviceSlot)> heard;  // when it last sent a message; SteadyTime{}: not in this run
    std::function<void(TwinCopy)> save;           // for the next run
    std::function<bool(std::uint64_t)> reserve;   // room on the disk, in bytes
    std::function<void(std::uint64_t)> give_back;
  };
  // first: where the numbers of writes begin; different in every run.
  TwinKeeper(Ports ports, Options options, const Clock& clock, Metrics& metrics, std::uint64_t first,
             std::uint64_t seed);
  ~TwinKeeper() override;

  // writes: its desired properties go to the device.
  void add(DeviceSlot slot, const DeviceId& device, bool writes);

  // What an earlier run saved; before the first event. Its room has been reserved.
  void restore(DeviceSlot slot, const TwinCopy& copy);

  void presence(DeviceSlot slot, Presence presence);
  // A patch that read_properties takes.
  void report(DeviceSlot slot, const std::string& patch);
  void on_twin_link(DeviceSlot slot, bool attached) override;
  void on_twin_answer(DeviceSlot slot, TwinAnswer answer) override;
  void on_desired(DeviceSlot slot, std::string patch) override;

  // Acts on what happened; when it wants to be called again at the latest.
  SteadyTime tick(SteadyTime now, WallTime wall);

  struct Status {
    bool kept = false;           // the device has a twin here
    std::int64_t desired = 0;    // version that the hub has
    std::int64_t confirmed = 0;  // version that the device has
    std::string fault;           // why not, or what the hub refused last
  };
  [[nodiscard]] Status status(DeviceSlot slot) const;

 private:
  struct Twin;
  Twin* find(DeviceSlot slot) const { return slot.value < twins_.size() ? twins_[slot.value].get() : nullptr; }
  void touch(Twin& twin);
  void wake_at(SteadyTime deadline, Twin& twin);
  void advance(Twin& twin);
  void talk(Twin& twin);
  void ask(Twin& twin, TwinRequest request);
  void take_document(Twin& twin, const std::string& text);
  void save(Twin& twin);
  void report_answered(Twin& twin, const TwinAnswer& answer);
  void write(Twin& twin);
  void on_written(DeviceSlot slot, std::uint64_t number, const Outcome& outcome);
  void say_state(Twin& twin);

  const Ports ports_;
  const Options options_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Twin>> twins_;  // by slot; null without a twin
  std::vector<DeviceSlot> touched_;
  std::set<std::pair<SteadyTime, std::uint32_t>> timers_;
  SteadyTime now_{};
  WallTime wall_{};
  std::uint64_t next_number_;
  std::uint64_t next_request_ = 1;
  std::uint64_t seed_;
  Metric& gets_;
  Metric& patches_;
  Metric& refused_;
  Metric& reports_;
  Metric& unchanged_;
  Metric& written_;
  Metric& confirmed_;
  Metric& failed_;
};

}  // namespace trunkline
