// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/pipeline/note.h"

namespace trunkline {

// The table `command`: what devices did (C-01), the last `most` of them. Owned by Spool, store thread; throws
// SQLite::Exception.
class CommandRecords {
 public:
  CommandRecords(SQLite::Database& db, std::uint64_t most);
  void write(const CommandRecord& record, std::int64_t device);
  void reset() noexcept;

  static std::vector<CommandRecord> all(SQLite::Database& db);  // the oldest first
  // Those that the hub cannot deliver again; a clock that jumped back only keeps them longer.
  static void prune(SQLite::Database& db, WallTime now);

 private:
  SQLite::Database& db_;
  SQLite::Statement write_;
  SQLite::Statement trim_;
  const std::uint64_t most_;
  std::optional<std::uint64_t> rows_;  // not known after a commit that failed
};

}  // namespace trunkline
