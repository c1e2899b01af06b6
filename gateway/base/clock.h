// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline {

// Steady time for every deadline and age; wall time only for stamps and token expiry (a wall clock may jump).
using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;
using Milliseconds = std::chrono::milliseconds;

// Never reached; what a state machine returns when it waits for events only.
inline constexpr SteadyTime kNever = SteadyTime::max();

// What the clocks said at one moment. trusted: the wall clock is worth believing.
struct Moment {
  SteadyTime steady{};
  WallTime wall{};
  bool trusted = true;
};

// The source of time of code that cannot be handed `now`. Implementations are callable from any thread and never fail.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual SteadyTime steady() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
  // False while nothing has set the wall clock, as far as can be told.
  [[nodiscard]] virtual bool wall_trusted() const { return true; }
  [[nodiscard]] Moment moment() const { return {steady(), wall(), wall_trusted()}; }
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall() const override {
    return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
  }
  // The kernel says that nothing disciplines its clock (adjtimex(2), STA_UNSYNC), or it shows a time before this
  // program was built. Asked once a second at most.
  [[nodiscard]] bool wall_trusted() const override;

 private:
  mutable std::atomic<std::int64_t> looked_at_{-1};  // steady second
  mutable std::atomic<bool> trusted_{false};
};

// "2026-11-21T01:34:00.123Z" (RFC 3339, UTC).
std::string to_rfc3339(WallTime time);

// Whole UTC days since 1970-01-01, and "2026-11-21" of such a day.
std::int64_t day_of(WallTime time);
std::string day_text(std::int64_t day);
// Nothing unless it is a date of that form.
std::optional<std::int64_t> parse_day(std::string_view text);

}  // namespace trunkline
