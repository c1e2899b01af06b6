// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gateway/base/clock.h"

namespace trunkline {

// How many bytes a second came in, or left, lately: over one to two minutes. Pure; owned by Store.
class ByteRate {
 public:
  void add(std::uint64_t bytes, SteadyTime now) {
    turn(now);
    current_ += bytes;
  }
  [[nodiscard]] double per_second(SteadyTime now) {
    turn(now);
    const auto seconds = std::chrono::duration<double>(now - (known_ ? since_ - kMinute : since_)).count();
    return seconds < 1 ? 0 : static_cast<double>(current_ + (known_ ? last_ : 0)) / seconds;
  }

 private:
  static constexpr Milliseconds kMinute{60'000};
  void turn(SteadyTime now) {
    if (since_ == SteadyTime{}) since_ = now;
    while (now - since_ >= kMinute) {
      const bool gap = now - since_ >= 3 * kMinute;
      last_ = gap ? 0 : current_;
      known_ = true;
      current_ = 0;
      since_ = gap ? now : since_ + kMinute;
    }
  }
  SteadyTime since_{};
  std::uint64_t current_ = 0;
  std::uint64_t last_ = 0;
  bool known_ = false;
};

}  // namespace trunkline
