// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/base/metrics.h"
#include "gateway/hub/hub_link.h"
#include "gateway/pipeline/multiplexer.h"

namespace trunkline::test {

// The real multiplexer over real hub links, without spool, adapters and threads: the caller's thread runs the loop, and
// messages are made from nothing. What the product's hub thread does, alone, for fault tests and benchmarks.
class TrunkDriver final : private UplinkEvents,
                          private UplinkFactory,
                          private StoreRequests,
                          private CommandSink,
                          private MethodSink,
                          private TwinSink {
 public:
  struct Latency {
    double p50_ms = 0;
    double p99_ms = 0;
    double max_ms = 0;
    std::size_t count = 0;
  };

  TrunkDriver(hub::HubLink::Options link, Multiplexer::Options options, const TokenProvider& tokens);
  ~TrunkDriver() override;

  DeviceSlot add(const std::string& id, SessionOptions session = {}, Presence presence = Presence::away);
  void remove(const std::string& id) {
    act([&] { mux_.remove(*DeviceId::parse(id)); });
  }
  // One message of the device; its position's sequence number.
  std::uint64_t say(DeviceSlot slot, std::string body);

  // Runs the loop until `done`, or for the limit; `done` is asked after each event.
  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds(30));
  void run_for(std::chrono::milliseconds time) {
    until([] { return false; }, time);
  }
  void poll() { io_.restart(), io_.poll(); }
  // Called every `interval` while the loop runs; nullptr ends it.
  void every(std::chrono::milliseconds interval, std::function<void()> task);

  [[nodiscard]] std::uint64_t said() const { return sequence_; }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t accepted(DeviceSlot slot) const { return devices_.at(slot.value).accepted; }
  [[nodiscard]] std::uint64_t said(DeviceSlot slot) const { return devices_.at(slot.value).said; }
  [[nodiscard]] std::uint64_t rejected() const { return rejected_; }
  [[nodiscard]] std::size_t attached() const { return attached_; }  // links, ever
  [[nodiscard]] std::uint64_t commands() const { return commands_; }
  // From say() to the hub's outcome, of the devices for which `which` holds, since start_latencies.
  [[nodiscard]] Latency latency(const std::function<bool(DeviceSlot)>& which = {}) const;
  void start_latencies();

  [[nodiscard]] Multiplexer::Status status() const { return mux_.status(); }
  [[nodiscard]] Multiplexer::DeviceStatus status(DeviceSlot slot) const;
  std::uint64_t count(const std::string& metric) { return metrics_.metric(metric, "").value(); }
  [[nodiscard]] const std::string& name(DeviceSlot slot) const { return devices_.at(slot.value).id; }
  [[nodiscard]] std::size_t size() const { return devices_.size(); }

 private:
  struct Device {
    std::string id;
    std::uint64_t said = 0;
    std::uint64_t accepted = 0;
  };
  struct Kept {
    MessagePtr message;
    DeviceSlot slot;
    SteadyTime said_at;
  };
  struct Sample {
    DeviceSlot slot;
    float milliseconds;
  };

  Uplink& uplink(ConnectionSlot connection) override;
  void on_ready(ConnectionSlot connection) override;
  void on_lost(ConnectionSlot connection, LinkFault fault) override;
  void on_authorised(DeviceSlot slot) override;
  void on_refused(DeviceSlot slot, LinkFault fault) override;
  void on_attached(DeviceSlot slot, DeviceLink link) override;
  void on_detached(DeviceSlot slot, DeviceLink link, LinkFault fault) override;
  void on_sendable(DeviceSlot slot) override;
  void on_outcome(DeviceSlot slot, Position position, Outcome outcome) override;
  void on_command(DeviceSlot slot, Command command, CommandTag tag) override;
  void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) override;
  void on_callers_lost(ConnectionSlot) override {}
  void on_twin_link(DeviceSlot, bool) override {}
  void on_twin_answer(DeviceSlot, TwinAnswer) override {}
  void on_desired(DeviceSlot, std::string) override {}
  void flowing(const DeviceId&, bool) override {}
  void settle(Settlement settlement) override;
  void read(ReadRequest request) override;

  void act(const std::function<void()>& what);
  void schedule();
  void pump();
  void arm_ticker();

  SystemClock clock_;
  Metrics metrics_;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  boost::asio::steady_timer ticker_{io_};
  SteadyTime armed_ = kNever;
  std::chrono::milliseconds interval_{0};
  std::function<void()> task_;
  bool scheduled_ = false;
  const hub::HubLink::Options link_options_;
  std::vector<std::unique_ptr<hub::HubLink>> uplinks_;
  std::vector<Device> devices_;
  std::map<std::uint64_t, Kept> kept_;  // by position, not settled yet: the spool
  std::vector<Sample> samples_;
  bool timing_ = false;
  std::uint64_t sequence_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint64_t commands_ = 0;
  std::size_t attached_ = 0;
  Multiplexer mux_;
};

}  // namespace trunkline::test
