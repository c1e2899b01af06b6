// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

namespace trunkline {

inline constexpr int kSpoolSchema = 4;

// Brings a spool file of any older version, or an empty one, to kSpoolSchema: numbered steps inside the caller's
// transaction, the version written last, so that a crash leaves the older file whole. Throws SQLite::Exception.
void migrate_spool(SQLite::Database& db);

// Of a file as it is; 0: empty. Throws SQLITE_MISMATCH if it is newer than this program knows.
int spool_schema(SQLite::Database& db);

}  // namespace trunkline
