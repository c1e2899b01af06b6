// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "gateway/base/backoff.h"
#include "gateway/base/clock.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/core/adapter.h"
#include "gateway/core/priority.h"
#include "gateway/core/token.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/trunk.h"

namespace trunkline {

// What the maps say of a device, as far as its session at the hub goes.
struct SessionOptions {
  unsigned max_in_flight = 64;  // unsettled messages
  bool commands = false;        // which links it needs beside telemetry
  bool stored = false;          // queue mode: commands are taken into our own care, whether the device is there or not
  bool methods = false;
  bool twin = false;
  bool desired = false;                  // the twin's desired properties are written to the device
  Milliseconds command_timeout{45'000};  // from a command's arrival to its outcome
  Milliseconds method_timeout{30'000};   // from the call to the device's answer
  Priority priority = Priority::normal;
};

// Where a device stands with the hub.
enum class SessionState {
  idle,         // nothing to do, or the connection is away
  queued,       // waits for its turn to be authorised (pacing)
  authorising,  // put-token sent
  attaching,    // authorised; a link that it needs is not attached yet (shown only)
  ready,        // authorised; links attached or attaching
  renewing,     // ready, and a new token is on its way (shown only)
  backing_off,  // a passing fault; next try at retry_at
  quarantined,  // needs a person, as far as we can tell (key, unknown device, conflict, stall); slow retries
  disabled,     // no usable identity in the store
  removed,      // not in the maps any more; what waits stays in the spool
};
std::string_view to_string(SessionState state);

// How busy a device was lately: messages of this minute and of the one before, so that after a reconnect the busiest
// come first.
class Activity {
 public:
  void add(SteadyTime now) {
    roll(now);
    ++current_;
    last_ = now;
  }
  [[nodiscard]] SteadyTime last() const { return last_; }
  [[nodiscard]] std::uint64_t value(SteadyTime now) {
    roll(now);
    return current_ + before_;
  }

 private:
  void roll(SteadyTime now) {
    const auto minute = std::chrono::duration_cast<std::chrono::minutes>(now.time_since_epoch()).count();
    if (minute == minute_) return;
    before_ = minute == minute_ + 1 ? current_ : 0;
    current_ = 0;
    minute_ = minute;
  }
  SteadyTime last_{};
  std::int64_t minute_ = 0;
  std::uint64_t current_ = 0;
  std::uint64_t before_ = 0;
};

// What the multiplexer keeps of one device: its session at the hub and its two queues. A plain value that only the
// multiplexer changes; in_flight before waiting is always ascending by position unless a release put an older one back.
struct DeviceSession {
  struct Entry {
    MessagePtr message;
    unsigned attempts = 0;  // outcomes `modified` so far
    SteadyTime sent_at{};
    bool forgotten = false;  // a limit removed it from the spool while it was in flight: not sent again
  };
  using Queue = LazyQueue<Entry>;
  struct Link {
    bool attaching = false;
    bool attached = false;
  };

  DeviceSession(DeviceId device, DeviceSlot own, SessionOptions wanted, std::uint64_t seed)
      : id(std::move(device)), slot(own), options(wanted), retry({}, seed), release_retry(kRelease, ~seed) {}

  Link& link(DeviceLink which) { return links[static_cast<std::size_t>(which)]; }
  [[nodiscard]] const Link& link(DeviceLink which) const { return links[static_cast<std::size_t>(which)]; }

  DeviceId id;
  DeviceSlot slot;
  SessionOptions options;

  SessionState state = SessionState::idle;
  Trunk::Connection* connection = nullptr;  // where it has its place, once it needed one
  Backoff retry;
  SteadyTime retry_at{};
  SteadyTime ready_at{};  // when the present session was authorised first
  SteadyTime renew_at = kNever;
  bool renewing = false;
  WallTime used_at{};     // the hub took a token of it last; WallTime{}: not in this run
  WallTime refused_at{};  // it refused one last
  KeyChoice key = KeyChoice::primary;
  bool other_key = false;          // the one before `key` was just refused
  std::optional<LinkFault> fault;  // the last one, cleared by the first attach after it
  std::array<Link, kDeviceLinks> links;
  unsigned evictions = 0;  // by another client of the same identity, in a row
  unsigned stalls = 0;     // sessions that ended because the hub settled nothing, in a row

  Queue waiting;    // to be sent, ascending
  Queue in_flight;  // sent, unsettled
  std::size_t waiting_bytes = 0;
  Position tail{};          // newest position that was ever taken into memory
  Position missed{};        // newest position known to exist beyond memory
  Position asked{};         // `missed` when the read that is on its way was asked for
  bool backlog = false;     // the spool holds messages behind `tail`
  bool reading = false;     // a read is on its way
  bool stale_read = false;  // it was asked for before the device was removed; its answer means nothing
  SteadyTime read_at{};     // not before, after a failed read
  Backoff release_retry;
  bool held = false;               // after released or modified: nothing is sent until hold_until (D-03)
  SteadyTime hold_until = kNever;  // drawn by the next tick
  Milliseconds hold_least{0};      // the hub asked for so much
  bool blocked = false;            // no credit, or too many bytes queued; on_sendable clears it
  SteadyTime blocked_at{};
  bool probing = false;        // blocked for so long that we try whether on_sendable was missed
  bool listed = false;         // in the connection's send queue
  std::uint64_t accepted = 0;  // in this process
  Activity activity;

  Presence presence = Presence::away;
  bool commands_full = false;  // queue mode: there is no room for another one
  unsigned granted = 0;        // command credit at the hub
  unsigned outstanding = 0;    // commands whose outcome is not known yet
  unsigned releases = 0;       // in a row
  bool credit_due = false;     // after a release: credit_at is drawn by the next tick
  SteadyTime credit_at{};      // no new credit before (C-02)

  bool flows = false;  // as told to the store

  SteadyTime timer = kNever;  // earliest entry of this device in the multiplexer's timers

 private:
  static constexpr Backoff::Limits kRelease{Milliseconds(200), Milliseconds(1000), Milliseconds(30'000)};
};

}  // namespace trunkline
