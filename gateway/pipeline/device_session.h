// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "gateway/base/backoff.h"
#include "gateway/base/clock.h"
#include "gateway/core/adapter.h"
#include "gateway/core/uplink.h"

namespace trunkline {

// Where a device stands with the hub.
enum class SessionState {
  idle,         // nothing to do, or the connection is away
  queued,       // waits for its turn to be authorised (pacing)
  authorising,  // put-token sent
  ready,        // authorised; links attached or attaching
  backing_off,  // a passing fault; next try at retry_at
  quarantined,  // needs a person, as far as we can tell (key, unknown device); slow retries
  disabled,     // no usable identity in the store
};
std::string_view to_string(SessionState state);

// What the multiplexer keeps of one device: its session at the hub and its two queues. A plain value that only the
// multiplexer changes; in_flight before waiting is always ascending by position unless a release put an older one back.
struct DeviceSession {
  struct Entry {
    MessagePtr message;
    unsigned attempts = 0;  // outcomes `modified` so far
  };
  struct Link {
    bool attaching = false;
    bool attached = false;
  };

  DeviceSession(DeviceId device, DeviceSlot own, unsigned window, bool wants_commands, std::uint64_t seed)
      : id(std::move(device)),
        slot(own),
        max_in_flight(window),
        takes_commands(wants_commands),
        retry({}, seed),
        release_retry(kRelease, ~seed) {}

  DeviceId id;
  DeviceSlot slot;
  unsigned max_in_flight;
  bool takes_commands;

  SessionState state = SessionState::idle;
  Backoff retry;
  SteadyTime retry_at{};
  SteadyTime ready_at{};  // when the present session was authorised first
  SteadyTime renew_at = kNever;
  bool renewing = false;
  std::optional<LinkFault> fault;  // the last one, cleared by the first accepted message or attach after it
  Link telemetry;
  Link commands;

  std::deque<Entry> waiting;    // to be sent, ascending
  std::deque<Entry> in_flight;  // sent, unsettled
  std::size_t waiting_bytes = 0;
  Position tail{};       // newest position that was ever taken into memory
  Position missed{};     // newest position known to exist beyond memory
  bool backlog = false;  // the spool holds messages behind `tail`
  bool reading = false;  // a read is on its way
  SteadyTime read_at{};  // not before, after a failed read
  Backoff release_retry;
  bool held = false;               // after released or modified: nothing is sent until hold_until (D-03)
  SteadyTime hold_until = kNever;  // drawn by the next tick
  bool blocked = false;            // no credit, or too many bytes queued; on_sendable clears it
  bool listed = false;             // in the round-robin ring
  std::uint64_t accepted = 0;      // in this process

  Presence presence = Presence::away;
  unsigned granted = 0;      // command credit at the hub
  unsigned outstanding = 0;  // commands whose outcome is not known yet
  unsigned releases = 0;     // in a row
  bool credit_due = false;   // after a release: credit_at is drawn by the next tick
  SteadyTime credit_at{};    // no new credit before (C-02)

  SteadyTime timer = kNever;  // earliest entry of this device in the multiplexer's timers

 private:
  static constexpr Backoff::Limits kRelease{Milliseconds(200), Milliseconds(1000), Milliseconds(30'000)};
};

}  // namespace trunkline
