// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/throttle.h"

#include <algorithm>

namespace trunkline::hubsim {

void RateLimit::set(std::int64_t per_second, SteadyTime now) {
  per_second_ = per_second;
  saved_ = static_cast<double>(per_second);
  filled_ = now;
}

bool RateLimit::take(SteadyTime now) {
  if (per_second_ <= 0) return true;
  const auto rate = static_cast<double>(per_second_);
  saved_ = std::min(rate, saved_ + rate * std::chrono::duration<double>(now - filled_).count());
  filled_ = now;
  if (saved_ < 1) return false;
  saved_ -= 1;
  return true;
}

}  // namespace trunkline::hubsim
