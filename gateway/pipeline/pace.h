// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gateway/base/clock.h"

namespace trunkline {

// A token bucket that the hub may slow down: a throttle error lowers the rate to 70 % of what was really used, and
// every second without one raises it again by 5 %, up to the configured rate, or until it bounds nothing any more.
// Pure; times must not go backwards.
class Pace {
 public:
  // Permits per second; 0 is off: unbounded until the hub complains.
  explicit Pace(double configured) : configured_(configured), rate_(configured) {}

  // What the operator wants from now on; what the hub asked for is forgotten.
  void configure(double configured) { *this = Pace(configured); }

  // One permit, if there is one.
  bool take(SteadyTime now);
  // When the next permit is there; `now` if there is one.
  [[nodiscard]] SteadyTime next(SteadyTime now);
  // The hub refused something for its rate. Once a second counts, because one excess brings many refusals.
  void throttled(SteadyTime now);
  // Raises a lowered rate as time goes by; the calls above do it too.
  void recover(SteadyTime now);

  [[nodiscard]] double rate() const { return rate_; }  // 0: unbounded
  [[nodiscard]] bool slowed() const { return slowed_; }

 private:
  void refill(SteadyTime now);
  [[nodiscard]] double burst() const;
  // Used up, permits come back in portions of 5 ms: one wake-up serves many.
  [[nodiscard]] double portion() const;

  double configured_;
  double rate_;
  double permits_ = 1;
  bool drained_ = false;
  SteadyTime filled_{};
  bool slowed_ = false;
  SteadyTime throttled_at_{};  // the last one that counted
  SteadyTime raised_at_{};
  // What was taken in the running second and in the one before.
  SteadyTime second_{};
  double taken_ = 0;
  double taken_before_ = 0;
};

}  // namespace trunkline
