// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/command_records.h"

#include <algorithm>

namespace trunkline {
namespace {

// The hub keeps a command for two days at most (hub-amqp-protocol.md 6.3); an hour more for clocks.
constexpr Milliseconds kMemory = std::chrono::hours(49);

constexpr int kTrimmed = 2;

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch().count();
}

}  // namespace

CommandRecords::CommandRecords(SQLite::Database& db, std::uint64_t most)
    : db_(db),
      write_(db,
             "INSERT OR REPLACE INTO command(device, sequence, enqueued, message_id, kind, condition, description, at) "
             "VALUES(?,?,?,?,?,?,?,?)"),
      trim_(db,
            "DELETE FROM command WHERE (device, sequence, enqueued, message_id) IN "
            "(SELECT device, sequence, enqueued, message_id FROM command ORDER BY at LIMIT ?)"),
      most_(most) {}

void CommandRecords::reset() noexcept {
  write_.tryReset();
  trim_.tryReset();
  rows_.reset();
}

void CommandRecords::write(const CommandRecord& record, std::int64_t device) {
  write_.bind(1, device);
  write_.bind(2, static_cast<std::int64_t>(record.sequence));
  write_.bind(3, milliseconds(record.enqueued));
  write_.bind(4, record.id);
  write_.bind(5, static_cast<int>(record.outcome.kind));
  write_.bind(6, record.outcome.condition);
  write_.bind(7, record.outcome.description);
  write_.bind(8, milliseconds(record.at));
  write_.exec();
  write_.reset();
  if (rows_) {
    ++*rows_;
  } else {
    rows_ = static_cast<std::uint64_t>(db_.execAndGet("SELECT count(*) FROM command").getInt64());
  }
  if (*rows_ <= most_) return;
  // A few with each, so that no commit is large.
  trim_.bind(1, kTrimmed);
  const int gone = trim_.exec();
  trim_.reset();
  *rows_ -= std::min(*rows_, static_cast<std::uint64_t>(gone));
}

std::vector<CommandRecord> CommandRecords::all(SQLite::Database& db) {
  std::vector<CommandRecord> out;
  SQLite::Statement select(
      db,
      "SELECT d.name, c.sequence, c.enqueued, c.message_id, c.kind, c.condition, c.description, c.at FROM command c "
      "JOIN device d ON d.id = c.device ORDER BY c.at");
  while (select.executeStep()) {
    auto id = DeviceId::parse(select.getColumn(0).getString());
    if (!id) continue;
    CommandRecord record{*id, static_cast<std::uint64_t>(select.getColumn(1).getInt64()), {}, {}, {}, {}};
    record.enqueued = WallTime(Milliseconds(select.getColumn(2).getInt64()));
    record.id = select.getColumn(3).getString();
    record.outcome.kind = static_cast<Outcome::Kind>(select.getColumn(4).getInt());
    record.outcome.condition = select.getColumn(5).getString();
    record.outcome.description = select.getColumn(6).getString();
    record.at = WallTime(Milliseconds(select.getColumn(7).getInt64()));
    out.push_back(std::move(record));
  }
  return out;
}

void CommandRecords::prune(SQLite::Database& db, WallTime now) {
  SQLite::Statement prune(db, "DELETE FROM command WHERE at < ?");
  prune.bind(1, milliseconds(now - kMemory));
  prune.exec();
}

}  // namespace trunkline
