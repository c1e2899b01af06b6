// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>

#include "gateway/base/clock.h"
#include "gateway/pipeline/age_clock.h"
#include "gateway/pipeline/spool_index.h"

namespace trunkline {

// How old the spool's messages are: AgeClock and AgeMarks with their place in the file. Owned by Spool, store thread;
// throws SQLite::Exception; nothing in memory has changed until `committed`.
class SpoolAges {
 public:
  SpoolAges(SQLite::Database& db, Milliseconds step);

  // At opening; `newest`: of the messages that are there, 0 if there are none.
  void load(SQLite::Database& db, const Moment& now, std::uint64_t newest);
  // In a transaction that brings messages, the last of them at `newest`, to those of `index`.
  void note(std::uint64_t newest, const SpoolIndex& index, const Moment& now);
  void committed(const SpoolIndex& index);
  // In a transaction of its own, before an orderly end.
  void leave(const SpoolIndex& index, const Moment& now);

  [[nodiscard]] Milliseconds age(SteadyTime now) const { return clock_.age(now); }
  [[nodiscard]] Milliseconds came(std::uint64_t position) const { return marks_.came(position); }
  void reset() noexcept;

 private:
  void write(std::uint64_t before, std::uint64_t oldest, const Moment& now);

  AgeClock clock_;
  AgeMarks marks_;
  std::uint64_t marked_ = 0;  // by the transaction
  Milliseconds marked_age_{0};
  SQLite::Statement mark_, left_, prune_;
};

}  // namespace trunkline
