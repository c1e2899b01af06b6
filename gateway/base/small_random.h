// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

namespace trunkline {

// Eight bytes of state instead of the 2.5 KB of std::mt19937_64, for jitter that every device has of its own. A
// UniformRandomBitGenerator (SplitMix64: a Weyl sequence through a mixing function); never for secrets.
class SmallRandom {
 public:
  using result_type = std::uint64_t;
  explicit SmallRandom(std::uint64_t seed) : state_(seed) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() {
    auto z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace trunkline
