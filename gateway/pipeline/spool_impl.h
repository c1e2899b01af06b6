// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gateway/pipeline/command_records.h"
#include "gateway/pipeline/dead_letters.h"
#include "gateway/pipeline/kept_table.h"
#include "gateway/pipeline/ledger.h"
#include "gateway/pipeline/message_table.h"
#include "gateway/pipeline/spool.h"
#include "gateway/pipeline/spool_ages.h"
#include "gateway/pipeline/spool_file.h"

namespace trunkline {

// The open file behind Spool: its tables, and the one transaction over all of them. Throws SQLite::Exception.
class Spool::Impl {
 public:
  explicit Impl(const Options& options);

  Committed commit(const SpoolBatch& batch, const Moment& now);
  void leave(const Moment& now);
  Books books();
  void reset_statements() noexcept;

  struct Dead {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] SpoolIndex& index() { return messages_->index(); }

  std::optional<InstanceLock> lock_;  // let go after the database is closed
  const Options options_;
  std::string uuid_;
  std::uint64_t run_ = 0;
  std::string set_aside_;
  std::optional<std::chrono::microseconds> sync_time_;
  SQLite::Database db_;
  std::optional<MessageTable> messages_;
  std::optional<SpoolAges> ages_;
  std::unordered_map<DeviceId, Dead> dead_;

 private:
  // What one transaction has done so far.
  struct Work {
    Committed out;
    std::vector<SpoolIndex::Device*> arriving;            // who owns the batch's arrivals
    std::vector<SpoolIndex::Device*> settled;             // and the settled messages
    std::unordered_map<std::int64_t, Tally> tallies;      // by number of the device
    std::unordered_set<std::uint64_t> stay;               // left the messages for the dead letters: room is kept
    std::vector<std::pair<DeviceId, std::int64_t>> died;  // change in bytes of dead letters
    std::unordered_set<std::uint64_t> corrected;
  };

  void prepare();
  void load();
  void number_devices(const SpoolBatch& batch, Work& work);
  void set_synced(bool synced);
  void arrive(const SpoolBatch& batch, Work& work);
  void settle(const Settlement& settlement, SpoolIndex::Device& owner, const Moment& now, Work& work);
  void write(const Note& note);
  void purge(Position position, Work& work);
  void committed(const SpoolBatch& batch, Work& work);
  void remember(const Removal& removal);
  SpoolIndex::Device& device(const DeviceId& id) { return *index().find(id); }

  std::unordered_map<std::int64_t, DeviceId> names_;
  // Positions that were dropped or expired and may still be on their way to the hub; older ones are forgotten.
  std::unordered_map<std::uint64_t, Drop> dropped_;
  std::deque<std::uint64_t> dropped_order_;
  std::int64_t last_day_ = 0;
  bool synced_ = true;
  std::optional<Ledger> ledger_;
  std::optional<DeadLetters> dead_letters_;
  std::optional<CommandRecords> records_;
  std::optional<KeptTable> kept_;
};

}  // namespace trunkline
