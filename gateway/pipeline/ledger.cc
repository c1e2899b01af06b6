// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/ledger.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace trunkline {
namespace {

// So few devices are booked at once; so many deltas wait for the ledger.
constexpr std::size_t kFew = 3;
constexpr unsigned kMostDeltas = 64;

// One place for the order of the counters: columns 3 to 11 of the table, and bits of a delta's mask.
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

// A delta: for each device its number, a mask of the counters that are not 0, and those. All numbers in groups of 7
// bits, the least first; signed ones fold the sign into the lowest bit.
void put(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put(std::string& out, std::int64_t device, const Tally& tally) {
  put(out, static_cast<std::uint64_t>(device));
  std::uint64_t mask = 0;
  std::uint64_t bit = 1;
  for (const auto* counter : counters(tally)) {
    if (*counter != 0) mask |= bit;
    bit <<= 1;
  }
  put(out, mask);
  for (const auto* counter : counters(tally)) {
    const auto value = static_cast<std::uint64_t>(*counter);
    if (value != 0) put(out, value << 1 ^ (*counter < 0 ? ~0ULL : 0));
  }
}

std::uint64_t get(std::string_view& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (in.empty()) break;
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80) return value;
  }
  throw SQLite::Exception("the ledger is unreadable", SQLITE_CORRUPT);
}

template <class F>
void each_delta(SQLite::Database& db, F&& take) {
  SQLite::Statement select(db, "SELECT day, tallies FROM ledger_delta");
  while (select.executeStep()) {
    const auto blob = select.getColumn(1);
    std::string_view in(static_cast<const char*>(blob.getBlob()), static_cast<std::size_t>(blob.getBytes()));
    while (!in.empty()) {
      LedgerRow row{select.getColumn(0).getInt64(), static_cast<std::int64_t>(get(in)), {}};
      const auto mask = get(in);
      std::uint64_t bit = 1;
      for (auto* counter : counters(row.tally)) {
        if ((mask & bit) != 0) {
          const auto value = get(in);
          *counter = static_cast<std::int64_t>(value >> 1 ^ ((value & 1) != 0 ? ~0ULL : 0));
        }
        bit <<= 1;
      }
      take(row);
    }
  }
}

}  // namespace

Ledger::Ledger(SQLite::Database& db)
    : upsert_(db, kUpsert),
      delta_(db, "INSERT INTO ledger_delta(day, tallies) VALUES(?,?)"),
      clear_(db, "DELETE FROM ledger_delta") {}

void Ledger::add(std::int64_t day, std::int64_t device, const Tally& tally) {
  upsert_.bind(1, day);
  upsert_.bind(2, device);
  int column = 3;
  for (const auto* counter : counters(tally)) upsert_.bind(column++, *counter);
  upsert_.exec();
  upsert_.reset();
}

void Ledger::book(std::int64_t day, const std::unordered_map<std::int64_t, Tally>& tallies) {
  booked_.clear();
  folded_ = deltas_ + 1 >= kMostDeltas;
  if (tallies.size() <= kFew && !folded_) {
    for (const auto& [device, tally] : tallies) {
      if (tally != Tally{}) add(day, device, tally);
    }
    return;
  }
  for (const auto& [device, tally] : tallies) {
    if (tally != Tally{}) booked_.emplace(std::pair(day, device), tally);
  }
  if (folded_) {
    auto all = waiting_;
    for (const auto& [key, tally] : booked_) all[key] += tally;
    for (const auto& [key, tally] : all) add(key.first, key.second, tally);
    clear_.exec();
    clear_.reset();
    return;
  }
  if (booked_.empty()) return;
  blob_.clear();
  for (const auto& [key, tally] : booked_) put(blob_, key.second, tally);
  delta_.bind(1, day);
  delta_.bindNoCopy(2, blob_.data(), static_cast<int>(blob_.size()));
  delta_.exec();
  delta_.reset();
}

void Ledger::committed() {
  if (folded_) {
    waiting_.clear();
    deltas_ = 0;
  } else if (!booked_.empty()) {
    for (const auto& [key, tally] : booked_) waiting_[key] += tally;
    ++deltas_;
  }
  booked_.clear();
  folded_ = false;
}

void Ledger::reset() noexcept {
  for (auto* statement : {&upsert_, &delta_, &clear_}) statement->tryReset();
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
  Days deltas;
  each_delta(db, [&deltas](const LedgerRow& row) { deltas[std::pair(row.day, row.device)] += row.tally; });
  if (deltas.empty()) return out;
  for (const auto& row : out) deltas[std::pair(row.day, row.device)] += row.tally;
  out.clear();
  for (const auto& [key, tally] : deltas) out.push_back({key.first, key.second, tally});
  return out;
}

void Ledger::fold(SQLite::Database& db, std::uint64_t limit) {
  Ledger ledger(db);
  Days deltas;
  each_delta(db, [&deltas](const LedgerRow& row) { deltas[std::pair(row.day, row.device)] += row.tally; });
  for (const auto& [key, tally] : deltas) ledger.add(key.first, key.second, tally);
  db.exec("DELETE FROM ledger_delta");
  const auto all = rows(db);
  if (all.size() <= limit) return;
  // Whole days only, so that every day that is left is complete; the newest stays whatever it takes.
  const auto& edge = all[all.size() - limit];
  const auto keep_from = std::min(edge.day + 1, all.back().day);
  SQLite::Statement erase(db, "DELETE FROM ledger WHERE day > 0 AND day < ?");
  erase.bind(1, keep_from);
  erase.exec();
  for (const auto& row : all) {
    if (row.day > 0 && row.day < keep_from) ledger.add(0, row.device, row.tally);
  }
}

}  // namespace trunkline
