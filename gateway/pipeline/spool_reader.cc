// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_reader.h"

#include <sqlite3.h>

#include <unordered_map>

#include "gateway/pipeline/dead_letters.h"
#include "gateway/pipeline/kept_table.h"
#include "gateway/pipeline/ledger.h"
#include "gateway/pipeline/pack_codec.h"
#include "gateway/pipeline/spool.h"
#include "gateway/pipeline/spool_file.h"
#include "gateway/pipeline/spool_schema.h"

namespace trunkline {

class SpoolReader::Impl {
 public:
  Impl(InstanceLock lock, const std::string& directory, std::uint64_t max_bytes)
      : lock_(std::move(lock)),
        directory_(directory),
        max_bytes_(max_bytes),
        db_(spool_path(directory), SQLite::OPEN_READWRITE, 2000) {
    // As the gateway does: no shared-memory file is made. The journal that a crash left can only be read by who may
    // write; SQLite gives files that root makes to the database's owner.
    db_.exec("PRAGMA locking_mode=EXCLUSIVE");
    db_.exec("PRAGMA query_only=1");
    if (spool_schema(db_) != kSpoolSchema) {
      throw SQLite::Exception(
          "written by an older version of trunkline; start the gateway once, it brings it up to date", SQLITE_MISMATCH);
    }
  }

  Books books() {
    Books out;
    std::unordered_map<std::int64_t, std::string> names;
    SQLite::Statement devices(db_, "SELECT id, name FROM device");
    while (devices.executeStep()) names[devices.getColumn(0).getInt64()] = devices.getColumn(1).getString();
    for (const auto& row : Ledger::rows(db_)) out.days[row.day][names[row.device]] = row.tally;
    SQLite::Statement rows(db_, "SELECT device, count(*) FROM message GROUP BY device");
    while (rows.executeStep()) {
      out.held[names[rows.getColumn(0).getInt64()]].waiting = static_cast<std::uint64_t>(rows.getColumn(1).getInt64());
    }
    each_packed(db_, [&](const PackedMessage& one) { ++out.held[names[one.device]].waiting; });
    SQLite::Statement dead(db_, "SELECT device, count(*) FROM dead_letter GROUP BY device");
    while (dead.executeStep()) {
      out.held[names[dead.getColumn(0).getInt64()]].dead_lettered =
          static_cast<std::uint64_t>(dead.getColumn(1).getInt64());
    }
    out.commands = KeptTable::books(db_);
    return out;
  }

  SpoolSummary summary() {
    SpoolSummary out;
    const auto sums = [this](const char* text, std::uint64_t& count, std::uint64_t& bytes) {
      SQLite::Statement select(db_, text);
      if (!select.executeStep()) return;
      count = static_cast<std::uint64_t>(select.getColumn(0).getInt64());
      bytes = static_cast<std::uint64_t>(select.getColumn(1).getInt64());
    };
    sums("SELECT count(*), coalesce(sum(footprint), 0) FROM message", out.waiting, out.waiting_bytes);
    each_packed(db_, [&out](const PackedMessage& one) {
      ++out.waiting;
      out.waiting_bytes += one.footprint;
    });
    sums("SELECT count(*), coalesce(sum(footprint), 0) FROM dead_letter", out.dead_letters, out.dead_letter_bytes);
    out.cap_bytes = max_bytes_;
    out.room_bytes = Spool::room(max_bytes_);
    out.disk_bytes = bytes_on_disk(directory_);
    return out;
  }

  InstanceLock lock_;
  const std::string directory_;
  const std::uint64_t max_bytes_;
  SQLite::Database db_;
};

SpoolReader::SpoolReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SpoolReader::~SpoolReader() = default;

Result<std::unique_ptr<SpoolReader>> SpoolReader::open(const std::string& directory, std::uint64_t max_bytes) {
  auto lock = InstanceLock::take(directory, InstanceLock::Use::shared);
  if (!lock) return fail(lock.error());
  try {
    return std::unique_ptr<SpoolReader>(
        new SpoolReader(std::make_unique<Impl>(std::move(*lock), directory, max_bytes)));
  } catch (const SQLite::Exception& e) {
    return fail(from_sqlite(e, spool_path(directory)));
  }
}

Kept SpoolReader::kept() const {
  const auto guarded = [](auto act) -> Result<decltype(act())> {
    try {
      return act();
    } catch (const SQLite::Exception& e) {
      return fail(from_sqlite(e, "spool"));
    }
  };
  auto* impl = impl_.get();
  Kept out;
  out.books = [impl, guarded] { return guarded([impl] { return impl->books(); }); };
  out.summary = [impl, guarded] {
    auto found = guarded([impl] { return impl->summary(); });
    if (found) return *found;
    SpoolSummary failed;
    failed.fault = found.error().message;
    return failed;
  };
  out.dead_letters = [impl, guarded](const DeadLetterQuery& query) {
    return guarded([&] { return DeadLetters::find(impl->db_, query); });
  };
  return out;
}

}  // namespace trunkline
