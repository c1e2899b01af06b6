// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>

#include "gateway/base/clock.h"

namespace trunkline {

// The clock by which messages grow old: running time of all runs, plus the time in between where both ends of it were
// known from a trusted wall clock. A wall clock that jumps while the gateway runs does not touch it, and an untrusted
// gap expires nothing (D-02). Pure; owned by Spool.
class AgeClock {
 public:
  // What the last run left: its age, and what the wall clock showed then.
  struct Left {
    Milliseconds age{0};
    WallTime wall{};
    bool trusted = false;
  };
  AgeClock() = default;
  AgeClock(const Left& left, const Moment& now) : base_(left.age), started_(now.steady) {
    if (left.trusted && now.trusted && now.wall > left.wall) base_ += now.wall - left.wall;
  }
  [[nodiscard]] Milliseconds age(SteadyTime now) const {
    return base_ + std::chrono::duration_cast<Milliseconds>(now - started_);
  }

 private:
  Milliseconds base_{0};
  SteadyTime started_{};
};

// When messages came, by marks every now and then instead of 8 bytes a row. A commit with messages writes a mark when
// the last one is a step old; so a position behind all marks came within a step of the last. A message expires late by
// at most one step, and never early.
class AgeMarks {
 public:
  explicit AgeMarks(Milliseconds step = Milliseconds(60'000)) : step_(step) {}

  [[nodiscard]] bool due(Milliseconds age) const { return marks_.empty() || age - marks_.rbegin()->second >= step_; }
  // Every position before `before` came at this age or earlier.
  void add(std::uint64_t before, Milliseconds age) { marks_.insert_or_assign(before, age); }
  // The age of the gateway when this position came, at most.
  [[nodiscard]] Milliseconds came(std::uint64_t position) const {
    const auto mark = marks_.upper_bound(position);
    if (mark != marks_.end()) return mark->second;
    return marks_.empty() ? Milliseconds::max() : marks_.rbegin()->second + step_;
  }
  [[nodiscard]] bool covers(std::uint64_t position) const {
    return !marks_.empty() && marks_.rbegin()->first > position;
  }
  // Drops what no position from `oldest` on needs; the last mark stays.
  void forget(std::uint64_t oldest) {
    while (marks_.size() > 1 && marks_.begin()->first <= oldest) marks_.erase(marks_.begin());
  }
  [[nodiscard]] Milliseconds step() const { return step_; }

 private:
  Milliseconds step_;
  std::map<std::uint64_t, Milliseconds> marks_;
};

}  // namespace trunkline
