// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/pipeline/pack_codec.h"
#include "gateway/pipeline/spool_index.h"

namespace trunkline {

// Where the spool's messages are, and the index of them. A device with a backlog has a row for each message; what a
// commit brings of the others goes into one row for all of it, a pack, because most of that is settled within the same
// second: a pack costs two statements for a whole commit, a row two for each message. Packs take at most `pack_room`
// bytes; past that the oldest one becomes rows. What is packed is kept in memory, too, so that a pack is read only at
// the next start.
//
// Owned by Spool, store thread. Everything throws SQLite::Exception, so that the transaction around it ends; nothing in
// memory has changed until `committed`.
class MessageTable {
 public:
  MessageTable(SQLite::Database& db, std::uint64_t pack_room);

  // In the opening transaction: what an earlier run packed becomes rows.
  static void unpack(SQLite::Database& db);

  // At the start of a transaction; forgets what an earlier one left that failed.
  void begin();
  // Adds it; `alone`: with a row of its own, as one must that is erased in the same transaction. Ascending per device.
  void write(const MessagePtr& message, SpoolIndex::Device& device, bool alone);
  // False if it is not there (any more).
  bool erase(const DeviceId& id, SpoolIndex::Device& device, std::uint64_t position);
  // The last call before the transaction is committed.
  void finish();

  // After it: the index follows. The footprint of each erased one is told.
  template <class F>
  void committed(F&& erased) {
    settle_in();
    for (const auto& [id, device, position] : erased_) {
      if (const auto footprint = index_.remove(*device, position)) erased(id, position, *footprint);
    }
    begin();
  }

  std::vector<MessagePtr> read(const DeviceId& device, Position after, std::size_t limit, std::size_t max_bytes);

  [[nodiscard]] const SpoolIndex& index() const { return index_; }
  [[nodiscard]] SpoolIndex& index() { return index_; }  // while the spool is opened, and for new devices
  void reset() noexcept;

 private:
  struct Pack {
    std::vector<MessagePtr> messages;          // ascending
    std::vector<SpoolIndex::Device*> devices;  // of the messages
    PackMarks gone;
    std::size_t left = 0;
    std::uint64_t bytes = 0;
  };
  struct Touched {
    PackMarks gone;
    std::size_t left = 0;
  };
  void insert_row(const Message& message, std::int64_t device);
  void insert_pack();
  void delete_pack(std::uint32_t number);
  void explode(std::uint32_t number);
  void settle_in();
  [[nodiscard]] Touched state_of(std::uint32_t number) const;

  const std::uint64_t pack_room_;
  SpoolIndex index_;
  std::map<std::uint32_t, Pack> packs_;
  std::uint64_t packed_bytes_ = 0;
  std::uint32_t last_pack_ = 0;

  struct Fresh {
    MessagePtr message;
    SpoolIndex::Device* device;
    bool packed;
  };
  struct Erased {
    DeviceId id;
    SpoolIndex::Device* device;
    std::uint64_t position;
  };
  // Of the transaction.
  std::vector<Fresh> fresh_;
  std::size_t together_ = 0;  // of fresh_: those to be packed
  std::uint64_t together_bytes_ = 0;
  Pack made_;
  std::vector<Erased> erased_;
  std::map<std::uint32_t, Touched> touched_;
  std::vector<std::uint32_t> deleted_;
  std::vector<std::uint32_t> exploded_;
  std::string blob_;

  SQLite::Statement insert_, erase_, select_, insert_pack_, delete_pack_, mark_, unmark_;
};

}  // namespace trunkline
