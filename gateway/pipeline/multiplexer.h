// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/core/token.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/device_session.h"
#include "gateway/pipeline/pace.h"
#include "gateway/pipeline/store.h"
#include "gateway/pipeline/trunk.h"

namespace trunkline {

// What the multiplexer asks of the store; answers come back by on_batch. Never blocks.
class StoreRequests {
 public:
  virtual ~StoreRequests() = default;
  // Whether the hub takes messages of this device now, as far as we can tell; told when it changes, false at first.
  virtual void flowing(const DeviceId& device, bool flows) = 0;
  virtual void settle(Settlement settlement) = 0;
  virtual void read(ReadRequest request) = 0;
};

// Where commands go: the command router. Their outcomes come back by settle and command_finished.
class CommandSink {
 public:
  virtual ~CommandSink() = default;
  virtual void on_command(DeviceSlot slot, Command command, CommandTag tag) = 0;
};

// Where method calls go: the method router. Their responses come back by respond.
class MethodSink {
 public:
  virtual ~MethodSink() = default;
  virtual void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) = 0;
  // Whoever called over this connection has been told that the device is gone.
  virtual void on_callers_lost(ConnectionSlot connection) = 0;
};

// Who keeps the devices' twins. Requests go by ask_twin.
class TwinSink {
 public:
  virtual ~TwinSink() = default;
  virtual void on_twin_link(DeviceSlot slot, bool attached) = 0;
  virtual void on_twin_answer(DeviceSlot slot, TwinAnswer answer) = 0;
  virtual void on_desired(DeviceSlot slot, std::string patch) = 0;
};

// Where everything goes that comes from the hub for a device.
struct Sinks {
  Sinks(CommandSink& to_commands, MethodSink& to_methods, TwinSink& to_twins)
      : commands(to_commands), methods(to_methods), twins(to_twins) {}
  // One object that is all three.
  template <std::derived_from<CommandSink> All>
  Sinks(All& all) : Sinks(all, all, all) {}  // NOLINT(google-explicit-constructor)
  CommandSink& commands;
  MethodSink& methods;
  TwinSink& twins;
};

// All devices on as few hub connections as can be: who is authorised when and where, which message is sent next, what
// every outcome means. A pure state machine: no thread, no clock, no I/O. Events (UplinkEvents, offers, batches,
// presence) only record; tick(now) acts, by calls on Uplink and StoreRequests, and returns when it wants to be called
// again at the latest. The owner calls tick soon after any event. Everything on the hub thread.
//
// Per device, messages are sent in order of position; those offered beyond what memory holds are read back from the
// spool.
class Multiplexer final : public UplinkEvents {
 public:
  struct Options {
    double attach_rate = 100;                // devices per second after a (re)connect; 0 is off
    double send_rate = 0;                    // messages per second toward the hub; 0 is off
    bool attach_at_start = false;            // telemetry links at once, not at the first message
    unsigned window = 2048;                  // unsettled messages on a connection
    std::size_t device_memory = 256 * 1024;  // bytes waiting per device beyond which live messages stay in the spool
    std::size_t memory = 64 * 1024 * 1024;   // the same for all devices together
    unsigned max_attempts = 10;              // outcomes `modified` before a message goes to the dead letters
    Milliseconds quarantine_floor{60'000};
    Milliseconds quarantine_cap{600'000};
    Milliseconds stall_limit{60'000};  // oldest unsettled, oldest waiting while there is credit
    Trunk::Options trunk{};
  };

  Multiplexer(UplinkFactory& uplinks, StoreRequests& store, const TokenProvider& tokens, Sinks sinks, Metrics& metrics,
              Options options, std::uint64_t seed);

  // A device of the maps, at start or later. backlog: the spool holds messages of it from earlier runs, or from before
  // it was removed. A device that was removed gets its old slot back.
  DeviceSlot add(const DeviceId& device, SessionOptions options, bool backlog);
  // Ends its session; what waits stays in the spool, what is in flight is settled by nobody any more.
  void remove(const DeviceId& device);

  // Nothing of it waits or is on its way, so that removing it leaves nothing behind.
  [[nodiscard]] bool drained(const DeviceId& device) const;

  void offer(MessagePtr message);
  void missed(const DeviceId& device, Position newest);
  void on_batch(ReadAnswer answer);
  // A limit removed this message from the spool: it is not sent (again). If it is in flight, the hub's word on it still
  // counts (D-04).
  void forget(const DeviceId& device, Position position);
  void presence(const DeviceId& device, Presence presence);
  void settle(CommandTag tag, const Outcome& outcome);
  void command_finished(DeviceSlot slot, Outcome::Kind kind);
  // Queue mode: there is no room for another command, or there is again.
  void commands_full(DeviceSlot slot, bool full);
  void respond(MethodTag tag, const MethodResponse& response);
  bool ask_twin(DeviceSlot slot, const TwinRequest& request);
  // When it last said something; SteadyTime{}: not in this run.
  [[nodiscard]] SteadyTime heard(DeviceSlot slot) const { return devices_.at(slot.value)->activity.last(); }
  [[nodiscard]] bool reachable(DeviceSlot slot) const {
    return devices_.at(slot.value)->presence == Presence::reachable;
  }
  // In quarantine or disabled they are tried again at once; a live session proves its new key without ending.
  void identities_changed(const std::vector<DeviceId>& devices);
  // Options::attach_rate and send_rate, as the operator wants them now.
  void set_rates(double attach, double send) {
    attach_pace_.configure(attach);
    send_pace_.configure(send);
  }
  void stop();  // nothing new is sent; what is in flight may still be settled
  void close() { trunk_.close(); }
  [[nodiscard]] bool closed() const { return trunk_.closed(); }

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
  void on_twin_answer(DeviceSlot slot, TwinAnswer answer) override;
  void on_desired(DeviceSlot slot, std::string patch) override;

  // The owner sets the time before it passes an event on; tick does it itself.
  void set_time(SteadyTime now) { now_ = now; }
  SteadyTime tick(SteadyTime now, WallTime wall);

  struct DeviceStatus {
    DeviceId device;
    SessionState state;
    Presence presence;
    std::uint64_t accepted;
    std::uint64_t in_flight;
    std::string fault;
    std::optional<LinkFault::Kind> fault_kind;  // of `fault`
    SteadyTime next_try;                        // kNever unless backing off or quarantined
    std::optional<std::uint32_t> connection;
    KeyChoice key;            // the one that the hub took last
    SteadyTime starved_from;  // it wants to send and has no credit since; kNever if not so
    WallTime used_at{};       // the hub took a token of it last; WallTime{}: not in this run
    WallTime refused_at{};    // the hub refused one last
  };
  struct ConnectionStatus {
    Trunk::State state;
    std::uint64_t opened;  // in this process
    std::string fault;     // empty while open
    SteadyTime next_try;
    std::size_t devices;
    std::size_t in_flight;
  };
  struct Status {
    std::vector<ConnectionStatus> connections;
    std::uint64_t in_flight;
    bool healthy;      // false: rebuilt connections stall likewise, only a restart is left
    double send_rate;  // messages per second allowed now; 0: unbounded
    bool throttled;    // the hub asked for less
    std::vector<DeviceStatus> devices;
    // Every connection that is needed is open.
    [[nodiscard]] bool connected() const;
  };
  [[nodiscard]] Status status() const;
  [[nodiscard]] std::size_t in_flight() const;

 private:
  using Connection = Trunk::Connection;
  // Who is authorised next: the first one has the best rank, then the one that was busiest lately, then who came first.
  struct Queued {
    Priority priority;
    std::uint64_t activity;
    std::uint64_t turn;
    DeviceSlot slot;
    bool operator<(const Queued& other) const {
      if (priority != other.priority) return priority > other.priority;
      if (activity != other.activity) return activity < other.activity;
      return turn > other.turn;
    }
  };

  DeviceSession& at(DeviceSlot slot);
  DeviceSession& at(const DeviceId& device);
  void touch(DeviceSession& device);
  void advance(DeviceSession& device);
  void enqueue(DeviceSession& device);
  void authorise(DeviceSession& device);
  bool take_other_key(DeviceSession& device);
  void attach_links(DeviceSession& device);
  void end_session(DeviceSession& device);
  void fail(DeviceSession& device, LinkFault fault);
  void quarantine(DeviceSession& device, LinkFault fault, Milliseconds floor, Milliseconds cap);
  void back_off(DeviceSession& device, SessionState state, LinkFault fault, Milliseconds delay);
  bool evicted(DeviceSession& device, LinkFault& fault);
  void check_stall(DeviceSession& device);
  [[nodiscard]] bool flows(const DeviceSession& device) const;
  void show_flow(DeviceSession& device);
  void tick_queue();
  [[nodiscard]] SteadyTime next_deadline(SteadyTime trunk);
  [[nodiscard]] bool may_send(const DeviceSession& device) const;
  void forget_links(DeviceSession& device);
  void back_to_waiting(DeviceSession& device);
  void refill(DeviceSession& device);
  void grant(DeviceSession& device);
  void list(DeviceSession& device);
  bool send_one(Connection& connection);
  void send_round();
  void hold(DeviceSession& device, DeviceSession::Entry entry, Milliseconds least);
  void wake_at(SteadyTime deadline, DeviceSession& device);
  [[nodiscard]] bool wants_session(const DeviceSession& device) const;
  [[nodiscard]] static bool wants(const DeviceSession& device, DeviceLink which, bool at_start);

  StoreRequests& store_;
  const TokenProvider& tokens_;
  Sinks sinks_;
  const Options options_;
  std::mt19937_64 random_;
  Trunk trunk_;
  std::vector<std::unique_ptr<DeviceSession>> devices_;
  std::unordered_map<DeviceId, DeviceSlot> slots_;
  bool stopping_ = false;

  Pace attach_pace_;
  Pace send_pace_;
  std::vector<DeviceSlot> touched_;  // to be advanced by the next tick
  std::vector<bool> is_touched_;
  std::priority_queue<Queued> queue_;  // waiting to be authorised; entries may be stale
  std::uint64_t turn_ = 0;
  std::set<std::pair<SteadyTime, std::uint32_t>> timers_;  // at most one per device: DeviceSession::timer
  SteadyTime now_{};
  WallTime wall_{};
  std::size_t memory_ = 0;

  Metric& accepted_;
  Metric& rejected_;
  Metric& released_;
  Metric& modified_;
  Metric& throttles_;
  Metric& requeued_;
  Metric& sent_;
  Metric& connects_;
  Metric& losses_;
  Metric& refusals_;
  Metric& detaches_;
  Metric& evictions_;
  Metric& second_keys_;
  Metric& device_stalls_;
  Metric& connection_stalls_;
  Metric& missed_credit_;
  Metric& connected_;
};

}  // namespace trunkline
