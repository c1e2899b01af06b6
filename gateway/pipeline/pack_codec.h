// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/message.h"

namespace trunkline {

// One message of a pack, as it is stored. The texts live as long as the blob.
struct PackedMessage {
  std::uint64_t position = 0;
  std::int64_t device = 0;  // its number in the table `device`
  std::int64_t received = 0;
  std::uint64_t footprint = 0;
  Source source{};
  std::string_view head;  // as encode_head makes it
  std::string_view body;
};

// A row of the table `pack`: a version byte, then each message as position, device, received (64 bits), footprint,
// length of head, length of body (32 bits), source (8 bits), little-endian, head, body. Pure.
void begin_pack(std::string& blob);
void append_to_pack(std::string& blob, const Message& message, std::int64_t device);
// Throws SQLITE_CORRUPT for what is no pack.
std::vector<PackedMessage> read_pack(std::string_view blob);

// The table `pack_gone` says which messages of a pack have left it: one bit each, in the order of the pack.
class PackMarks {
 public:
  PackMarks() = default;
  explicit PackMarks(std::string bits) : bits_(std::move(bits)) {}
  [[nodiscard]] bool has(std::size_t at) const {
    return at / 8 < bits_.size() && (static_cast<unsigned char>(bits_[at / 8]) >> (at % 8) & 1U) != 0;
  }
  void set(std::size_t at) {
    if (bits_.size() <= at / 8) bits_.resize(at / 8 + 1);
    bits_[at / 8] = static_cast<char>(static_cast<unsigned char>(bits_[at / 8]) | 1U << (at % 8));
  }
  [[nodiscard]] const std::string& bits() const { return bits_; }

 private:
  std::string bits_;
};

// Calls `take(const PackedMessage&)` for every message that is still in a pack of the file, in no order across packs.
template <class F>
void each_packed(SQLite::Database& db, F&& take) {
  SQLite::Statement packs(
      db, "SELECT p.messages, coalesce(g.gone, x'') FROM pack p LEFT JOIN pack_gone g ON g.pack = p.id ORDER BY p.id");
  while (packs.executeStep()) {
    const auto blob = packs.getColumn(0);
    const auto gone = packs.getColumn(1);
    const PackMarks marks(
        std::string(static_cast<const char*>(gone.getBlob()), static_cast<std::size_t>(gone.getBytes())));
    std::size_t at = 0;
    for (const auto& one :
         read_pack({static_cast<const char*>(blob.getBlob()), static_cast<std::size_t>(blob.getBytes())})) {
      if (!marks.has(at++)) take(one);
    }
  }
}

}  // namespace trunkline
