// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace trunkline {

// Steady time for every deadline and age; wall time only for stamps and token expiry (a wall clock may jump).
using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;
using Milliseconds = std::chrono::milliseconds;

// Never reached; what a state machine returns when it waits for events only.
inline constexpr SteadyTime kNever = SteadyTime::max();

// The source of time of code that cannot be handed `now`. Implementations are callable from any thread and never fail.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual SteadyTime steady() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall() const override {
    return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
  }
};

// "2026-11-21T01:34:00.123Z" (RFC 3339, UTC).
std::string to_rfc3339(WallTime time);

}  // namespace trunkline
