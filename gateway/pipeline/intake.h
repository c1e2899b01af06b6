// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_set>

#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/capacity.h"
#include "gateway/pipeline/dead_letter.h"
#include "gateway/pipeline/live_feed.h"
#include "gateway/pipeline/repeat_filter.h"
#include "gateway/pipeline/store_thread.h"

namespace trunkline {

// The door: refuses what can never be sent, throttles what cannot be kept, suppresses what was said twice, stamps the
// rest and offers it to store and multiplexer at the same moment. Any thread; never blocks but for a short lock. Owned
// by the composition root.
class Intake final : public Ingress {
 public:
  using PresenceHandler = std::function<void(const DeviceId&, Presence)>;
  using KeyLookup = std::function<Result<Secret>(const DeviceId&)>;               // any thread
  using ReportHandler = std::function<void(const DeviceId&, std::string patch)>;  // any thread; the patch is checked

  Intake(StoreThread& store, LiveFeed& live, Capacity& capacity, const MessageSizer& sizer, const Clock& clock,
         Metrics& metrics, std::uint64_t run, PresenceHandler on_presence, KeyLookup keys,
         ReportHandler on_report = {});

  void submit(Telemetry telemetry, Completion<Admission> done) override;
  void presence(const DeviceId& device, Presence presence) override { on_presence_(device, presence); }
  Result<void> report(const DeviceId& device, std::string_view patch) override;
  [[nodiscard]] Result<Secret> handshake_key(const DeviceId& device) const override { return keys_(device); }

  // A dead letter goes back into the queue: a new message with a new id, in the order of now, that keeps its body,
  // properties and receive time. It takes the place of the old one in one commit.
  void readmit(const DeadLetter& letter);

  // From now on everything is throttled; for an orderly stop.
  void close();

 private:
  StoreThread& store_;
  LiveFeed& live_;
  Capacity& capacity_;
  const MessageSizer& sizer_;
  const Clock& clock_;
  PresenceHandler on_presence_;
  KeyLookup keys_;
  ReportHandler on_report_;
  void mark_time(Telemetry& telemetry, bool trusted) const;
  MessagePtr offer(std::shared_ptr<Message> message, Arrival arrival);

  std::mutex mutex_;
  RepeatFilter repeats_;
  std::uint64_t run_;
  std::uint64_t sequence_ = 0;
  std::unordered_set<DeviceId> held_back_;  // whose oldest refused message must be offered first
  bool closed_ = false;
  Metric& received_;
  Metric& throttled_;
  Metric& oversize_;
  Metric& duplicates_;
  Metric& reports_refused_;
};

}  // namespace trunkline
