// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/multiplexer.h"

namespace trunkline {

// Carries method calls to their devices and responses back, exactly one each: the device's own, or 404 when it is away,
// 429 when too many calls wait, 504 when it did not answer in time, 503 when the way to it failed. A device gets one
// call at a time. Calls travel as commands under numbers of this router that no other call of this gateway ever has, so
// an answer that comes late answers nobody. Pure state; no thread, clock or I/O. Everything on the hub thread but the
// completions it hands out, which only post.
class MethodRouter final : public MethodSink {
 public:
  static constexpr std::size_t kWaiting = 8;  // calls of one device behind the one that it has

  struct Ports {
    std::function<void(DeviceSlot, Command, Completion<Outcome>)> deliver;
    std::function<void(MethodTag, const MethodResponse&)> respond;
    std::function<void(std::function<void()>)> post;  // onto the hub thread; called from any
    std::function<bool(DeviceSlot)> reachable;
  };
  // first: where numbers begin; different in every run.
  MethodRouter(Ports ports, const Clock& clock, Metrics& metrics, std::uint64_t first);

  // timeout: from the call to the answer. Also for a device that came back.
  void add(DeviceSlot slot, const DeviceId& device, Milliseconds timeout);

  void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) override;
  void on_callers_lost(ConnectionSlot connection) override;

  // Answers what is due; when it wants to be called again at the latest.
  SteadyTime tick(SteadyTime now);

 private:
  struct Call {
    MethodCall call;
    MethodTag tag;
    std::uint64_t number = 0;
    SteadyTime deadline{};
    bool caller_lost = false;
  };
  struct Line {
    std::optional<DeviceId> device;
    Milliseconds timeout{0};
    std::optional<Call> active;
    LazyQueue<Call> waiting;
  };
  void on_outcome(DeviceSlot slot, std::uint64_t number, const Outcome& outcome);
  void start_next(DeviceSlot slot);
  void answer(const Line& line, const Call& call, const MethodResponse& response, Metric& as);
  void expire(Line& line, SteadyTime now);

  Ports ports_;
  const Clock& clock_;
  std::vector<Line> lines_;                                         // by slot
  std::map<std::pair<SteadyTime, std::uint64_t>, DeviceSlot> due_;  // by deadline and number
  std::uint64_t next_number_;
  Metric& calls_;
  Metric& answered_;
  Metric& offline_;
  Metric& busy_;
  Metric& timeouts_;
  Metric& failed_;
  Metric& lost_;
};

}  // namespace trunkline
