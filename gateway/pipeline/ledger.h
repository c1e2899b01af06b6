// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/pipeline/tally.h"

namespace trunkline {

struct LedgerRow {
  std::int64_t day = 0;     // since 1970-01-01; 0: everything before the oldest day that is kept
  std::int64_t device = 0;  // its number in the table `device`
  Tally tally;
};

// The table `ledger`: one row per UTC day and device, booked in the transaction of what it speaks of (D-05). What a
// commit books for many devices at once goes into one row of `ledger_delta`, and every now and then from there into the
// ledger: a thousand devices must not cost a thousand statements a commit. Owned by Spool, store thread; throws
// SQLite::Exception, so that the transaction around it ends; nothing in memory has changed until `committed`.
class Ledger {
 public:
  explicit Ledger(SQLite::Database& db);

  // Once a transaction; by number of the device.
  void book(std::int64_t day, const std::unordered_map<std::int64_t, Tally>& tallies);
  void committed();
  void reset() noexcept;

  // Ascending by day and device, deltas included.
  static std::vector<LedgerRow> rows(SQLite::Database& db);
  // At opening, in its transaction: no deltas are left, and the oldest days are added together until at most `limit`
  // rows are left, so that books do not eat the spool's room.
  static void fold(SQLite::Database& db, std::uint64_t limit);

 private:
  using Days = std::map<std::pair<std::int64_t, std::int64_t>, Tally>;  // by day and device
  void add(std::int64_t day, std::int64_t device, const Tally& tally);

  SQLite::Statement upsert_;
  SQLite::Statement delta_;
  SQLite::Statement clear_;
  Days waiting_;  // what stands in ledger_delta
  unsigned deltas_ = 0;
  // Of the transaction.
  Days booked_;
  bool folded_ = false;
  std::string blob_;
};

}  // namespace trunkline
