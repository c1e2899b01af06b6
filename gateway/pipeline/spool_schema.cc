// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_schema.h"

#include <sqlite3.h>

#include <array>
#include <string>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"

namespace trunkline {
namespace {

// Step n leads from version n to n + 1. A step that was released is never changed.
constexpr std::array<const char*, kSpoolSchema> kSteps = {
    R"(
CREATE TABLE meta(uuid TEXT NOT NULL, run INTEGER NOT NULL);
CREATE TABLE device(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE message(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, received INTEGER NOT NULL, source INTEGER NOT NULL,
  footprint INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE dead_letter(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, received INTEGER NOT NULL, source INTEGER NOT NULL,
  footprint INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL,
  outcome TEXT NOT NULL, condition TEXT NOT NULL, description TEXT NOT NULL, settled INTEGER NOT NULL);
CREATE TABLE command(device INTEGER NOT NULL, sequence INTEGER NOT NULL, enqueued INTEGER NOT NULL, message_id TEXT NOT NULL,
  kind INTEGER NOT NULL, condition TEXT NOT NULL, description TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(device, sequence, enqueued, message_id)) WITHOUT ROWID;
)",
    // The ledger opens with what an older version left: received on day 0, the day before every day. age, wall and
    // trusted in meta and the marks are AgeClock's.
    R"(
CREATE TABLE ledger(day INTEGER NOT NULL, device INTEGER NOT NULL, received INTEGER NOT NULL, accepted INTEGER NOT NULL,
  dead_lettered INTEGER NOT NULL, requeued INTEGER NOT NULL, expired INTEGER NOT NULL, dropped_newest INTEGER NOT NULL,
  dropped_oldest INTEGER NOT NULL, purged INTEGER NOT NULL, duplicates INTEGER NOT NULL, PRIMARY KEY(day, device)) WITHOUT ROWID;
INSERT INTO ledger SELECT 0, device, count(*), 0, sum(dead), 0, 0, 0, 0, 0, 0 FROM
  (SELECT device, 0 AS dead FROM message UNION ALL SELECT device, 1 AS dead FROM dead_letter) GROUP BY device;
CREATE INDEX dead_letter_device ON dead_letter(device, footprint);
CREATE TABLE age_mark(before INTEGER PRIMARY KEY, age INTEGER NOT NULL);
ALTER TABLE meta ADD COLUMN age INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN wall INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0;
)",
    // Packs are MessageTable's, ledger_delta is Ledger's.
    R"(
CREATE TABLE pack(id INTEGER PRIMARY KEY, messages BLOB NOT NULL);
CREATE TABLE pack_gone(pack INTEGER PRIMARY KEY, gone BLOB NOT NULL);
CREATE TABLE ledger_delta(id INTEGER PRIMARY KEY, day INTEGER NOT NULL, tallies BLOB NOT NULL);
)",
    // What is kept for devices; all three are KeptTable's. The index is CommandRecords'.
    R"(
CREATE INDEX command_at ON command(at);
CREATE TABLE kept_command(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, sequence INTEGER NOT NULL, enqueued INTEGER,
  message_id TEXT NOT NULL, expires INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE command_book(device INTEGER PRIMARY KEY, taken INTEGER NOT NULL, delivered INTEGER NOT NULL,
  expired INTEGER NOT NULL, failed INTEGER NOT NULL);
CREATE TABLE twin(device INTEGER PRIMARY KEY, version INTEGER NOT NULL, desired TEXT NOT NULL);
)"};

}  // namespace

int spool_schema(SQLite::Database& db) {
  const int schema = db.execAndGet("PRAGMA user_version").getInt();
  if (schema > kSpoolSchema || schema < 0) {
    throw SQLite::Exception("written by a newer version of trunkline (schema " + std::to_string(schema) +
                                ", this one knows " + std::to_string(kSpoolSchema) + "); install that version again",
                            SQLITE_MISMATCH);
  }
  return schema;
}

void migrate_spool(SQLite::Database& db) {
  const int found = spool_schema(db);
  if (found == kSpoolSchema) return;
  for (auto step = static_cast<std::size_t>(found); step < kSteps.size(); ++step) db.exec(kSteps[step]);
  if (found == 0) {
    SQLite::Statement insert(db, "INSERT INTO meta(uuid, run) VALUES(?, 0)");
    insert.bind(1, hex_encode(random_bytes(16)));
    insert.exec();
  }
  db.exec("PRAGMA user_version=" + std::to_string(kSpoolSchema));
}

}  // namespace trunkline
