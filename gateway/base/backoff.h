// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

#include "gateway/base/clock.h"
#include "gateway/base/small_random.h"

namespace trunkline {

// Exponential back-off with full jitter: the n-th delay is drawn from [floor, min(cap, base * 2^n)]. A value without a
// clock; the owner adds the delay to its own now. Deterministic for a given seed.
class Backoff {
 public:
  struct Limits {
    Milliseconds floor{100};
    Milliseconds base{500};
    Milliseconds cap{30'000};
  };

  Backoff(Limits limits, std::uint64_t seed) : limits_(limits), random_(seed) {}

  Milliseconds next() {
    const auto shift = std::min<unsigned>(attempt_, 20);
    const auto ceiling = std::min<std::int64_t>(limits_.cap.count(), limits_.base.count() << shift);
    ++attempt_;
    const auto low = std::min(limits_.floor.count(), ceiling);
    return Milliseconds(std::uniform_int_distribution<std::int64_t>(low, ceiling)(random_));
  }
  void reset() { attempt_ = 0; }
  [[nodiscard]] unsigned attempt() const { return attempt_; }

 private:
  Limits limits_;
  unsigned attempt_ = 0;
  SmallRandom random_;
};

}  // namespace trunkline
