// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "gateway/pipeline/tally.h"

namespace trunkline {

struct LedgerRow {
  std::int64_t day = 0;     // since 1970-01-01; 0: everything before the oldest day that is kept
  std::int64_t device = 0;  // its number in the table `device`
  Tally tally;
};

// The table `ledger`: one row per UTC day and device, booked in the transaction of what it speaks of (D-05). Owned by
// Spool, store thread; throws SQLite::Exception, so that the transaction around it ends.
class Ledger {
 public:
  explicit Ledger(SQLite::Database& db);

  void book(std::int64_t day, std::int64_t device, const Tally& tally);
  // Ascending by day, those of one device or of all.
  static std::vector<LedgerRow> rows(SQLite::Database& db);
  // Adds the oldest days together until at most `limit` rows are left, so that books do not eat the spool's room.
  static void fold(SQLite::Database& db, std::uint64_t limit);
  void reset() noexcept { upsert_.tryReset(); }

 private:
  SQLite::Statement upsert_;
};

}  // namespace trunkline
