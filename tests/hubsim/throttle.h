// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gateway/base/clock.h"

namespace trunkline::hubsim {

// So many a second, with one second's worth saved up at most. Pure: the caller gives the time. 0 is no limit.
class RateLimit {
 public:
  void set(std::int64_t per_second, SteadyTime now);
  [[nodiscard]] std::int64_t per_second() const { return per_second_; }
  // False if this one is over the rate.
  bool take(SteadyTime now);

 private:
  std::int64_t per_second_ = 0;
  double saved_ = 0;
  SteadyTime filled_{};
};

// The hub's throttles (hub-amqp-protocol section 12), as far as a test sets them; for all connections together.
struct Throttles {
  RateLimit sends;
  RateLimit attaches;
  RateLimit tokens;
  Milliseconds retry_after{0};  // told with each refusal; 0: not told
  std::uint64_t refused = 0;
};

}  // namespace trunkline::hubsim
