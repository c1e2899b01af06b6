// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "gateway/base/clock.h"

namespace trunkline::mqtt {

// Lets one line per period through. Pure; one thread.
class LogLimit {
 public:
  explicit LogLimit(Milliseconds period) : period_(period) {}

  // How many were held back since the last line, if one may be written now.
  std::optional<std::uint64_t> allow(SteadyTime now) {
    if (last_ && now < *last_ + period_) {
      ++held_back_;
      return std::nullopt;
    }
    last_ = now;
    return std::exchange(held_back_, 0);
  }

 private:
  Milliseconds period_;
  std::optional<SteadyTime> last_;
  std::uint64_t held_back_ = 0;
};

}  // namespace trunkline::mqtt
