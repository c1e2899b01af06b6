// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "tests/support/fake_uplink.h"

namespace trunkline::test {

// A multiplexer between fakes, with a time that only the test moves.
struct MultiplexerRig {
  FakeUplink uplink;
  FakeStoreRequests store;
  FakeTokens tokens;
  FakeCommands commands;
  Metrics metrics;
  Multiplexer mux;
  SteadyTime now = SteadyTime{} + std::chrono::hours(1);

  explicit MultiplexerRig(Multiplexer::Options options = {.attach_rate = 0})
      : mux(uplink, store, tokens, commands, metrics, options, 7) {}

  SteadyTime tick() {
    mux.set_time(now);
    return mux.tick(now, WallTime(std::chrono::hours(500'000)));
  }
  void pass(SteadyTime::duration time) {
    now += time;
    tick();
  }
  // Connects and brings the device to a ready telemetry link.
  void ready(DeviceSlot slot) {
    tick();
    mux.on_ready({});
    tick();
    mux.on_authorised(slot);
    tick();
    mux.on_attached(slot, DeviceLink::telemetry);
    tick();
  }
  std::uint64_t count(const std::string& name) { return metrics.metric(name, "").value(); }
  std::vector<std::uint64_t> sent_sequences() const { return sequences(uplink.sent); }
  // Since the last look.
  std::vector<std::uint64_t> newly_sent() { return sequences(std::exchange(uplink.sent, {})); }

 private:
  static std::vector<std::uint64_t> sequences(const std::vector<FakeUplink::Transfer>& sent) {
    std::vector<std::uint64_t> out;
    for (const auto& transfer : sent) out.push_back(transfer.message->position.sequence());
    return out;
  }
};

inline LinkFault link_fault(LinkFault::Kind kind) {
  return {kind, "amqp:test", "a test", {}};
}

}  // namespace trunkline::test
