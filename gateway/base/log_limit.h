// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "gateway/base/clock.h"

namespace trunkline {

// Keeps a line that a peer can cause at will from filling the journal: one a window, with the number that was left out
// in between. A value of one thread.
class LogLimit {
 public:
  explicit LogLimit(Milliseconds window = Milliseconds(10'000)) : window_(window) {}

  // How many were suppressed since the last line if one may be written now, else nothing.
  std::optional<std::uint64_t> allow(SteadyTime now) {
    if (written_ && now - *written_ < window_) {
      ++suppressed_;
      return std::nullopt;
    }
    written_ = now;
    return std::exchange(suppressed_, 0);
  }

 private:
  Milliseconds window_;
  std::optional<SteadyTime> written_;
  std::uint64_t suppressed_ = 0;
};

}  // namespace trunkline
