// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/base/backoff.h"
#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/core/token.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/device_session.h"
#include "gateway/pipeline/store.h"

namespace trunkline {

// What the multiplexer asks of the store; answers come back by on_batch. Never blocks.
class StoreRequests {
 public:
  virtual ~StoreRequests() = default;
  virtual void settle(Settlement settlement) = 0;
  virtual void read(ReadRequest request) = 0;
};

// Where commands go: the command router. Their outcomes come back by the router's own calls on Uplink and
// command_finished.
class CommandSink {
 public:
  virtual ~CommandSink() = default;
  virtual void on_command(DeviceSlot slot, Command command, CommandTag tag) = 0;
};

// One hub connection for all devices: who is authorised when, which message is sent next, what every outcome means. A
// pure state machine: no thread, no clock, no I/O. Events (UplinkEvents, offers, batches, presence) only record;
// tick(now) acts, by calls on Uplink and StoreRequests, and returns when it wants to be called again at the latest. The
// owner calls tick soon after any event. Everything on the hub thread.
//
// Per device, messages are sent in order of position; those offered beyond what memory holds are read back from the
// spool.
class Multiplexer final : public UplinkEvents {
 public:
  struct Options {
    double attach_rate = 100;                // devices per second after a (re)connect; 0 is off
    unsigned window = 2048;                  // unsettled messages on the connection
    std::size_t device_memory = 256 * 1024;  // bytes waiting per device beyond which live messages stay in the spool
    std::size_t memory = 64 * 1024 * 1024;   // the same for all devices together
    unsigned max_attempts = 10;              // outcomes `modified` before a message goes to the dead letters
    Milliseconds quarantine_floor{60'000};
    Milliseconds quarantine_cap{600'000};
    Backoff::Limits connection{Milliseconds(100), Milliseconds(500), Milliseconds(30'000)};
  };

  Multiplexer(Uplink& uplink, StoreRequests& store, const TokenProvider& tokens, CommandSink& commands,
              Metrics& metrics, Options options, std::uint64_t seed);

  // Before the first tick: every device of the maps. backlog: the spool holds messages of it from earlier runs.
  DeviceSlot add(const DeviceId& device, unsigned max_in_flight, bool takes_commands, bool backlog);

  void offer(MessagePtr message);
  void missed(const DeviceId& device, Position newest);
  void on_batch(ReadAnswer answer);
  void presence(const DeviceId& device, Presence presence);
  void command_finished(DeviceSlot slot, Outcome::Kind kind);
  void identities_changed();  // devices in quarantine or disabled are tried again at once
  void stop();                // nothing new is sent; what is in flight may still be settled

  void on_ready(ConnectionSlot connection) override;
  void on_lost(ConnectionSlot connection, LinkFault fault) override;
  void on_authorised(DeviceSlot slot) override;
  void on_refused(DeviceSlot slot, LinkFault fault) override;
  void on_attached(DeviceSlot slot, DeviceLink link) override;
  void on_detached(DeviceSlot slot, DeviceLink link, LinkFault fault) override;
  void on_sendable(DeviceSlot slot) override;
  void on_outcome(DeviceSlot slot, Position position, Outcome outcome) override;
  void on_command(DeviceSlot slot, Command command, CommandTag tag) override;

  // The owner sets the time before it passes an event on; tick does it itself.
  void set_time(SteadyTime now) { now_ = now; }
  SteadyTime tick(SteadyTime now, WallTime wall);

  enum class Connection { waiting, opening, open, stopped };
  struct DeviceStatus {
    DeviceId device;
    SessionState state;
    Presence presence;
    std::uint64_t accepted;
    std::uint64_t in_flight;
    std::string fault;
    SteadyTime next_try;  // kNever unless backing off or quarantined
  };
  struct Status {
    Connection connection;
    std::uint64_t connections;  // opened in this process
    std::string fault;          // of the connection, empty while open
    SteadyTime next_try;
    std::uint64_t in_flight;
    std::vector<DeviceStatus> devices;
  };
  [[nodiscard]] Status status() const;
  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

 private:
  DeviceSession& at(DeviceSlot slot);
  void touch(DeviceSession& device);
  void advance(DeviceSession& device);
  void authorise(DeviceSession& device);
  void attach(DeviceSession& device, DeviceLink link, DeviceSession::Link& state);
  void fail(DeviceSession& device, LinkFault fault);
  void tick_connection();
  void tick_queue();
  [[nodiscard]] SteadyTime next_deadline() const;
  [[nodiscard]] static bool may_send(const DeviceSession& device);
  void back_to_waiting(DeviceSession& device);
  void refill(DeviceSession& device);
  void grant(DeviceSession& device);
  void list(DeviceSession& device);
  void send_round();
  void retry_later(DeviceSession& device, DeviceSession::Entry entry);
  void wake_at(SteadyTime deadline, DeviceSession& device);
  [[nodiscard]] bool wants_session(const DeviceSession& device) const;

  Uplink& uplink_;
  StoreRequests& store_;
  const TokenProvider& tokens_;
  CommandSink& command_sink_;
  const Options options_;
  std::vector<std::unique_ptr<DeviceSession>> devices_;
  std::unordered_map<DeviceId, DeviceSlot> slots_;

  Connection connection_ = Connection::waiting;
  Backoff reconnect_;
  bool stopping_ = false;
  bool reconnect_due_ = false;  // a delay is to be drawn at the next tick
  SteadyTime open_at_{};
  LinkFault connection_fault_;
  std::uint64_t connections_ = 0;
  double attach_tokens_ = 0;
  SteadyTime attach_filled_{};

  std::vector<DeviceSlot> touched_;  // to be advanced by the next tick
  std::vector<bool> is_touched_;
  std::deque<DeviceSlot> queue_;                           // waiting to be authorised, in order
  std::deque<DeviceSlot> ring_;                            // may send, round robin
  std::set<std::pair<SteadyTime, std::uint32_t>> timers_;  // at most one per device: DeviceSession::timer
  SteadyTime now_{};
  WallTime wall_{};
  std::size_t in_flight_ = 0;
  std::size_t memory_ = 0;
  std::mt19937_64 random_;

  Metric& accepted_;
  Metric& rejected_;
  Metric& released_;
  Metric& modified_;
  Metric& requeued_;
  Metric& sent_;
  Metric& connects_;
  Metric& losses_;
  Metric& refusals_;
  Metric& detaches_;
  Metric& connected_;
};

}  // namespace trunkline
