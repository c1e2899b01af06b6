// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/core/outcome.h"
#include "gateway/pipeline/dead_letter.h"

namespace trunkline {

// The table `dead_letter`. Owned by Spool, store thread; throws SQLite::Exception, so that the transaction around it
// ends. `find` reads any open spool file.
class DeadLetters {
 public:
  explicit DeadLetters(SQLite::Database& db);

  void bury(const Message& message, std::int64_t device, const Outcome& outcome, WallTime now);
  struct Removed {
    std::int64_t device = 0;
    std::uint64_t footprint = 0;
  };
  std::optional<Removed> remove(Position position);  // nothing if it was not there
  void reset() noexcept;

  static std::vector<DeadLetter> find(SQLite::Database& db, const DeadLetterQuery& query);

 private:
  SQLite::Statement bury_;
  SQLite::Statement weigh_;
  SQLite::Statement remove_;
};

}  // namespace trunkline
