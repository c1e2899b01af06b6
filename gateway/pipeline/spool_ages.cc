// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_ages.h"

#include <sqlite3.h>

#include <algorithm>

namespace trunkline {

SpoolAges::SpoolAges(SQLite::Database& db, Milliseconds step)
    : marks_(step),
      mark_(db, "INSERT OR REPLACE INTO age_mark(before, age) VALUES(?,?)"),
      left_(db, "UPDATE meta SET age = ?, wall = ?, trusted = ?"),
      prune_(db, "DELETE FROM age_mark WHERE before <= ? AND before < ?") {}

void SpoolAges::load(SQLite::Database& db, const Moment& now, std::uint64_t newest) {
  SQLite::Statement meta(db, "SELECT age, wall, trusted FROM meta");
  if (!meta.executeStep()) throw SQLite::Exception("the table meta is empty", SQLITE_CORRUPT);
  const AgeClock::Left left{Milliseconds(meta.getColumn(0).getInt64()),
                            WallTime(Milliseconds(meta.getColumn(1).getInt64())), meta.getColumn(2).getInt() != 0};
  clock_ = AgeClock(left, now);
  SQLite::Statement marks(db, "SELECT before, age FROM age_mark ORDER BY before");
  bool known = false;
  while (marks.executeStep()) {
    known = true;
    marks_.add(static_cast<std::uint64_t>(marks.getColumn(0).getInt64()), Milliseconds(marks.getColumn(1).getInt64()));
  }
  const auto age = clock_.age(now.steady);
  if (newest > 0 && !marks_.covers(newest)) {
    // What came after the last mark came within a step of it; of an older file's messages nothing is known.
    marks_.add(newest + 1, known ? std::min(left.age + marks_.step(), age) : age);
  }
}

void SpoolAges::note(std::uint64_t newest, const SpoolIndex& index, const Moment& now) {
  marked_ = 0;
  if (newest == 0 || !marks_.due(age(now.steady))) return;
  write(newest + 1, index.oldest(), now);
  marked_ = newest + 1;
  marked_age_ = age(now.steady);
}

void SpoolAges::committed(const SpoolIndex& index) {
  if (marked_ == 0) return;
  marks_.add(marked_, marked_age_);
  marks_.forget(index.oldest());
  marked_ = 0;
}

void SpoolAges::leave(const SpoolIndex& index, const Moment& now) {
  write(index.newest() + 1, index.oldest(), now);
}

void SpoolAges::write(std::uint64_t before, std::uint64_t oldest, const Moment& now) {
  const auto at = static_cast<std::int64_t>(age(now.steady).count());
  mark_.bind(1, static_cast<std::int64_t>(before));
  mark_.bind(2, at);
  mark_.exec();
  mark_.reset();
  left_.bind(1, at);
  left_.bind(2, static_cast<std::int64_t>(now.wall.time_since_epoch().count()));
  left_.bind(3, now.trusted ? 1 : 0);
  left_.exec();
  left_.reset();
  prune_.bind(1, static_cast<std::int64_t>(oldest));
  prune_.bind(2, static_cast<std::int64_t>(before));
  prune_.exec();
  prune_.reset();
}

void SpoolAges::reset() noexcept {
  for (auto* statement : {&mark_, &left_, &prune_}) statement->tryReset();
}

}  // namespace trunkline
