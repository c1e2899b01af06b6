// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/core/command.h"
#include "gateway/core/message.h"
#include "gateway/core/outcome.h"

namespace trunkline {

struct DeviceChanges;  // gateway/mapping/device_map.h

// Can a command reach the device now? (C-02)
enum class Presence { reachable, away };

// What adapters hand messages to; intake implements it. Owned by the composition root and outlives every adapter. Every
// method is callable from any thread and never blocks.
class Ingress {
 public:
  virtual ~Ingress() = default;

  // Offers one message. `done` is called exactly once, on the store's thread or on the caller's, and must only pass the
  // answer to the adapter's own thread. Messages of one device submitted in some order become safe in that order.
  virtual void submit(Telemetry telemetry, Completion<Admission> done) = 0;

  // What the adapter knows of a device; repeated values are fine. A device starts as away. An adapter reports reachable
  // while it has a way to deliver (a connection, an observer, a live broker session and a device heard lately).
  virtual void presence(const DeviceId& device, Presence presence) = 0;

  // What the device says of its own state, as JSON: a merge patch of its reported properties. invalid: it is no object,
  // or the hub could never keep it. Kept in memory and merged; the newest values go up, not each of them.
  virtual Result<void> report(const DeviceId& device, std::string_view patch) = 0;

  // The device's pre-shared key as it is now, from memory: for a handshake, and to see that a session's key still is
  // the device's. denied: the device is disabled. not_found: it has no such key.
  [[nodiscard]] virtual Result<Secret> handshake_key(const DeviceId& device) const = 0;
};

// What ops shows of one device in one adapter.
struct AdapterDeviceStatus {
  std::string device;
  Presence presence = Presence::away;
  std::string peer;  // address or topic, empty if none
  std::optional<WallTime> last_heard;
  // What went wrong on its way to us since the start, by name ("check_failed"); what never did is not there.
  std::vector<std::pair<std::string, std::uint64_t>> faults{};
};

// An immutable snapshot for ops.
struct AdapterStatus {
  std::string name;
  bool healthy = false;  // it can receive from devices now
  std::string detail;    // one line: why not, or what it listens on
  std::vector<AdapterDeviceStatus> devices;
  std::vector<std::string> unknown_topics{};  // a bounded sample of where somebody speaks whom no map knows
};

// One southbound protocol. Owned by the composition root. start, stop and deliver are called from its threads or the
// hub's; an adapter has a thread of its own and answers there. After stop returns no call goes into Ingress any more.
class Adapter {
 public:
  virtual ~Adapter() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;

  // Opens its sockets. An error means it cannot work as configured (a port in use, a bad file); a peer that is away now
  // is not an error, the adapter keeps trying. Called once, on the main thread.
  virtual Result<void> start(Ingress& ingress) = 0;

  // Carries a command, a method or desired properties to its device and answers once, from any thread, before
  // command.deadline: accepted only when the device did it (a message as `command_done` of its map says, a method with
  // its response), rejected when it can never be done, released when it cannot be done now (C-01). Called on the hub
  // thread; never blocks.
  virtual void deliver(Command command, Completion<Outcome> done) = 0;

  // Takes other maps while it runs, and touches no device but those named. What a device said before is still answered
  // as far as its connection lives. `done` is called once, from any thread: with an error (a port in use, a
  // subscription that is refused) part of it may be done, and the owner gives the devices back as they were. Called on
  // the main thread; never blocks; not again before `done`.
  virtual void change(DeviceChanges changes, std::function<void(Result<void>)> done) = 0;

  // Stops taking messages and commands; what is in hand is finished until the deadline, then abandoned. Joins its
  // thread. Called once, on the main thread.
  virtual void stop(SteadyTime deadline) = 0;

  // Any thread.
  [[nodiscard]] virtual AdapterStatus status() const = 0;
};

}  // namespace trunkline
