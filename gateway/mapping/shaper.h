// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gateway/base/clock.h"
#include "gateway/mapping/payload_map.h"
#include "gateway/mapping/topic_pattern.h"

namespace trunkline {

// Applies one device's payload map to its messages, in their order. Pure: time comes in, no clock, no I/O. What it
// remembers of a device is bounded (PayloadMap) and lost at a restart, after which a merged object starts anew. One
// thread at a time.
class Shaper {
 public:
  // `captures` are those of the device itself; the message brings further ones.
  Shaper(std::shared_ptr<const PayloadMap> map, Captures captures);
  ~Shaper();
  Shaper(Shaper&&) noexcept;
  Shaper& operator=(Shaper&&) noexcept;

  struct Verdict {
    enum class Kind {
      forward,   // send it, changed or not
      filtered,  // the operator does not want it; reason is one word for a counter
      refused,   // it is not what the map expects
      held,      // it is part of the group that `due` hands out
    };
    Kind kind = Kind::forward;
    std::string reason{};
    std::string state{};  // whatever becomes of the message: what it says of map.report, as a JSON object
  };
  // Turns `telemetry` into what goes up. Its `captures` and `channel` are used up.
  Verdict take(Telemetry& telemetry, SteadyTime now);

  // The last message of that channel was not taken after all: the next one is news again.
  void forget(const std::string& channel);

  // When the open group ends; kNever without one.
  [[nodiscard]] SteadyTime deadline() const;
  // The group that has ended by now.
  std::optional<Telemetry> due(SteadyTime now);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "2024-05-01T12:00:00[.fff][Z|+02:00]", also with a blank for the T (RFC 3339 and what devices write).
std::optional<WallTime> parse_iso8601(std::string_view text, bool assume_utc);

// A device's time as it says it outside of a payload; nothing if it cannot be read or is that of a device without a
// clock.
std::optional<WallTime> read_time(std::string_view text, const DeviceTime& rule);

// The number that a text is or starts with; nothing if it starts with something else.
std::optional<double> leading_number(std::string_view text);

}  // namespace trunkline
