// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/base/backoff.h"
#include "gateway/base/clock.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/send_queue.h"

namespace trunkline {

// The connections to the hub: when each is opened, ended and opened again, and which devices are on which. One is the
// normal case and wanted from the start. A further one is opened when no other has room: the hub counts every identity
// that was ever authorised on a connection, so leaving one frees nothing until it is renewed. Pure: the owner passes
// events on, calls tick and obeys its deadline. Part of the multiplexer.
class Trunk {
 public:
  struct Options {
    unsigned max_devices = 990;  // ever authorised on one connection; the hub refuses beyond 1000
    bool keep_first =
        true;  // open one connection whether or not a device needs it, so that the hub is known to be there
    Backoff::Limits reconnect{Milliseconds(100), Milliseconds(500), Milliseconds(30'000)};
    Milliseconds spare_after{60'000};  // a further connection that no device needs is closed
    Milliseconds quiet{10'000};        // a worn connection is renewed after so long without traffic
    unsigned health_after = 3;         // stalls in a row before health fails
  };
  enum class State {
    closed,   // not needed, or stopped
    waiting,  // for its next attempt
    opening,
    open,
    ending,  // close or abort was asked for
  };
  struct Connection {
    Connection(ConnectionSlot own, Uplink& to, Backoff::Limits limits, std::uint64_t seed)
        : slot(own), uplink(to), reconnect(limits, seed) {}

    ConnectionSlot slot;
    Uplink& uplink;
    State state = State::closed;
    bool up = false;           // between on_ready and on_lost
    std::uint64_t opened = 0;  // in this process
    LinkFault fault;           // why it ended last
    SteadyTime open_at{};

    SendQueue sends;
    std::size_t in_flight = 0;  // unsettled messages
    std::size_t commands = 0;   // whose outcome is owed
    bool settled = false;       // something was, since the last tick
    SteadyTime settled_at{};    // last settlement, or when it was opened
    SteadyTime busy_at{};       // last traffic
    unsigned stalls = 0;        // rebuilds for a stall in a row, without any settlement between

    std::size_t devices = 0;  // on it now
    std::size_t ever = 0;     // and those that left since it was opened
    bool full = false;        // the hub said so

   private:
    friend class Trunk;
    Backoff reconnect;
    bool retry_due = false;        // a delay is to be drawn at the next tick
    SteadyTime spare_at = kNever;  // without devices since
    std::vector<bool> on;          // by device slot
    std::vector<bool> counted;
  };

  Trunk(UplinkFactory& factory, Options options, std::uint64_t seed);

  // The device's place from now on: where it was if there, else the first with room, else a new one.
  Connection& place(DeviceSlot device);
  void leave(Connection& connection, DeviceSlot device);
  // The hub counts no further identity there: the device needs another place.
  void mark_full(Connection& connection) { connection.full = true; }

  Connection& at(ConnectionSlot slot) { return *connections_.at(slot.value); }
  [[nodiscard]] const std::vector<std::unique_ptr<Connection>>& all() const { return connections_; }

  void on_ready(Connection& connection, SteadyTime now);
  void on_lost(Connection& connection, LinkFault fault);
  void on_authorised(Connection& connection) { connection.reconnect.reset(); }
  // Ends a connection of which nothing moves any more; opened again like a lost one.
  void rebuild(Connection& connection, LinkFault why);
  [[nodiscard]] bool healthy() const;

  void stop();                        // no new attempts
  void close();                       // orderly end of all
  [[nodiscard]] bool closed() const;  // after stop: nothing is open or on its way

  SteadyTime tick(SteadyTime now);

 private:
  Connection& make();
  [[nodiscard]] bool wanted(const Connection& connection) const;
  [[nodiscard]] bool has_room(const Connection& connection) const;
  void tick(Connection& connection, SteadyTime now);
  void tick_open(Connection& connection, SteadyTime now);
  [[nodiscard]] SteadyTime deadline(const Connection& connection) const;
  [[nodiscard]] bool worn(const Connection& connection) const;

  UplinkFactory& factory_;
  const Options options_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool stopping_ = false;
};
std::string_view to_string(Trunk::State state);

}  // namespace trunkline
