// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <vector>

#include "gateway/pipeline/note.h"

namespace trunkline {

// The table `command`: what devices did (C-01). Owned by Spool, store thread; throws SQLite::Exception.
class CommandRecords {
 public:
  explicit CommandRecords(SQLite::Database& db);
  void write(const CommandRecord& record, std::int64_t device);
  void reset() noexcept { write_.tryReset(); }

  static std::vector<CommandRecord> all(SQLite::Database& db);
  // Those that the hub cannot deliver again; a clock that jumped back only keeps them longer.
  static void prune(SQLite::Database& db, WallTime now);

 private:
  SQLite::Statement write_;
};

}  // namespace trunkline
