// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <map>
#include <string>
#include <vector>

#include "gateway/pipeline/note.h"

namespace trunkline {

// The tables `kept_command` with its book `command_book`, and `twin`: what the gateway keeps for devices, not of them.
// Owned by Spool, store thread; throws SQLite::Exception, so that the transaction around it ends.
class KeptTable {
 public:
  explicit KeptTable(SQLite::Database& db);

  void take(const KeptCommand& kept, std::int64_t device);
  // Books it only if it was there.
  void end(const EndedCommand& ended, std::int64_t device);
  void write(const TwinCopy& twin, std::int64_t device);
  void reset() noexcept;

  static std::vector<KeptCommand> commands(SQLite::Database& db);  // in the order of taking
  static std::vector<TwinCopy> twins(SQLite::Database& db);
  static std::map<std::string, CommandBook> books(SQLite::Database& db);  // by device

 private:
  SQLite::Database& db_;
  SQLite::Statement take_;
  SQLite::Statement end_;
  SQLite::Statement book_;
  SQLite::Statement twin_;
};

}  // namespace trunkline
