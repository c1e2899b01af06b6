// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/ledger.h"

#include <algorithm>
#include <array>

namespace trunkline {
namespace {

// One place for the order of the counters: columns 3 to 11 of the table.
template <class T>
auto counters(T& tally) {
  return std::array{&tally.received,       &tally.accepted, &tally.dead_lettered,
                    &tally.requeued,       &tally.expired,  &tally.dropped_newest,
                    &tally.dropped_oldest, &tally.purged,   &tally.duplicates};
}

constexpr const char* kUpsert =
    "INSERT INTO ledger(day, device, received, accepted, dead_lettered, requeued, expired, dropped_newest, "
    "dropped_oldest, purged, duplicates) VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(day, device) DO UPDATE SET "
    "received = received + excluded.received, accepted = accepted + excluded.accepted, "
    "dead_lettered = dead_lettered + excluded.dead_lettered, requeued = requeued + excluded.requeued, "
    "expired = expired + excluded.expired, dropped_newest = dropped_newest + excluded.dropped_newest, "
    "dropped_oldest = dropped_oldest + excluded.dropped_oldest, purged = purged + excluded.purged, "
    "duplicates = duplicates + excluded.duplicates";

}  // namespace

Ledger::Ledger(SQLite::Database& db) : upsert_(db, kUpsert) {}

void Ledger::book(std::int64_t day, std::int64_t device, const Tally& tally) {
  upsert_.bind(1, day);
  upsert_.bind(2, device);
  int column = 3;
  for (const auto* counter : counters(tally)) upsert_.bind(column++, *counter);
  upsert_.exec();
  upsert_.reset();
}

std::vector<LedgerRow> Ledger::rows(SQLite::Database& db) {
  std::vector<LedgerRow> out;
  SQLite::Statement select(
      db,
      "SELECT day, device, received, accepted, dead_lettered, requeued, expired, dropped_newest, dropped_oldest, "
      "purged, duplicates FROM ledger ORDER BY day, device");
  while (select.executeStep()) {
    LedgerRow row{select.getColumn(0).getInt64(), select.getColumn(1).getInt64(), {}};
    int column = 2;
    for (auto* counter : counters(row.tally)) *counter = select.getColumn(column++).getInt64();
    out.push_back(row);
  }
  return out;
}

void Ledger::fold(SQLite::Database& db, std::uint64_t limit) {
  const auto all = rows(db);
  if (all.size() <= limit) return;
  // Whole days only, so that every day that is left is complete; the newest stays whatever it takes.
  const auto& edge = all[all.size() - limit];
  const auto keep_from = std::min(edge.day + 1, all.back().day);
  Ledger ledger(db);
  SQLite::Statement erase(db, "DELETE FROM ledger WHERE day > 0 AND day < ?");
  erase.bind(1, keep_from);
  erase.exec();
  for (const auto& row : all) {
    if (row.day > 0 && row.day < keep_from) ledger.book(0, row.device, row.tally);
  }
}

}  // namespace trunkline
