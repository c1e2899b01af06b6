// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/message_table.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "gateway/pipeline/spool_row.h"

namespace trunkline {
namespace {

// Fewer are not worth a pack.
constexpr std::size_t kFewest = 4;
// A device with more rows than that has a backlog: what comes would be written twice, in a pack and as a row.
constexpr std::size_t kBacklog = 32;
constexpr const char* kInsert =
    "INSERT INTO message(id, device, received, source, footprint, head, body) VALUES(?,?,?,?,?,?,?)";

std::size_t place_of(const std::vector<MessagePtr>& messages, std::uint64_t position) {
  const auto found =
      std::lower_bound(messages.begin(), messages.end(), position,
                       [](const MessagePtr& one, std::uint64_t value) { return one->position.value < value; });
  return static_cast<std::size_t>(found - messages.begin());
}

}  // namespace

MessageTable::MessageTable(SQLite::Database& db, std::uint64_t pack_room)
    : pack_room_(pack_room),
      insert_(db, kInsert),
      erase_(db, "DELETE FROM message WHERE id = ?"),
      select_(db, "SELECT received, source, head, body FROM message WHERE id = ?"),
      insert_pack_(db, "INSERT INTO pack(id, messages) VALUES(?,?)"),
      delete_pack_(db, "DELETE FROM pack WHERE id = ?"),
      mark_(db, "INSERT OR REPLACE INTO pack_gone(pack, gone) VALUES(?,?)"),
      unmark_(db, "DELETE FROM pack_gone WHERE pack = ?") {}

void MessageTable::unpack(SQLite::Database& db) {
  SQLite::Statement insert(db, kInsert);
  each_packed(db, [&insert](const PackedMessage& one) {
    insert.bind(1, static_cast<std::int64_t>(one.position));
    insert.bind(2, one.device);
    insert.bind(3, one.received);
    insert.bind(4, static_cast<int>(one.source));
    insert.bind(5, static_cast<std::int64_t>(one.footprint));
    insert.bindNoCopy(6, one.head.data(), static_cast<int>(one.head.size()));
    insert.bindNoCopy(7, one.body.data(), static_cast<int>(one.body.size()));
    insert.exec();
    insert.reset();
  });
  db.exec("DELETE FROM pack; DELETE FROM pack_gone");
}

void MessageTable::begin() {
  fresh_.clear();
  together_ = 0;
  together_bytes_ = 0;
  made_ = {};
  erased_.clear();
  touched_.clear();
  deleted_.clear();
  exploded_.clear();
}

void MessageTable::write(const MessagePtr& message, SpoolIndex::Device& device, bool alone) {
  const bool packed = !alone && device.rows.size() - device.packed <= kBacklog;
  if (packed) {
    ++together_;
    together_bytes_ += message->footprint();
  } else {
    insert_row(*message, device.number);
  }
  fresh_.push_back({message, &device, packed});
}

bool MessageTable::erase(const DeviceId& id, SpoolIndex::Device& device, std::uint64_t position) {
  const auto* slot = SpoolIndex::find(device, position);
  if (slot == nullptr || slot->pack == 0) {
    erase_.bind(1, static_cast<std::int64_t>(position));
    const bool there = erase_.exec() > 0;
    erase_.reset();
    if (there) erased_.push_back({id, &device, position});
    return there;
  }
  auto touched = touched_.find(slot->pack);
  if (touched == touched_.end()) touched = touched_.emplace(slot->pack, state_of(slot->pack)).first;
  const auto at = place_of(packs_.at(slot->pack).messages, position);
  if (touched->second.gone.has(at)) return false;
  touched->second.gone.set(at);
  --touched->second.left;
  erased_.push_back({id, &device, position});
  return true;
}

void MessageTable::finish() {
  auto bytes = packed_bytes_;
  for (const auto& [number, state] : touched_) {
    if (state.left > 0) continue;
    delete_pack(number);
    bytes -= packs_.at(number).bytes;
  }
  if (together_ >= kFewest && together_bytes_ <= pack_room_ / 2) {
    for (const auto& [number, pack] : packs_) {
      if (bytes + together_bytes_ <= pack_room_) break;
      if (const auto state = touched_.find(number); state != touched_.end() && state->second.left == 0) continue;
      explode(number);
      bytes -= pack.bytes;
    }
    insert_pack();
  } else {
    for (auto& one : fresh_) {
      if (std::exchange(one.packed, false)) insert_row(*one.message, one.device->number);
    }
    together_ = 0;
  }
  for (const auto& [number, state] : touched_) {
    if (state.left == 0 || std::find(exploded_.begin(), exploded_.end(), number) != exploded_.end()) continue;
    mark_.bind(1, static_cast<std::int64_t>(number));
    mark_.bindNoCopy(2, state.gone.bits().data(), static_cast<int>(state.gone.bits().size()));
    mark_.exec();
    mark_.reset();
  }
}

void MessageTable::settle_in() {
  const auto drop = [this](std::uint32_t number) {
    packed_bytes_ -= packs_.at(number).bytes;
    packs_.erase(number);
  };
  for (const auto number : exploded_) {
    const auto& pack = packs_.at(number);
    for (std::size_t at = 0; at < pack.messages.size(); ++at) {
      SpoolIndex::unpack(*pack.devices[at], pack.messages[at]->position.value);
    }
    drop(number);
  }
  for (const auto number : deleted_) drop(number);
  for (auto& [number, state] : touched_) {
    const auto pack = packs_.find(number);
    if (pack == packs_.end()) continue;
    pack->second.gone = std::move(state.gone);
    pack->second.left = state.left;
  }
  if (together_ > 0) {
    ++last_pack_;
    packed_bytes_ += made_.bytes;
    packs_.emplace(last_pack_, std::move(made_));
  }
  for (const auto& one : fresh_) {
    index_.append(*one.device, {one.message->position.value, static_cast<std::uint32_t>(one.message->footprint()),
                                one.packed ? last_pack_ : 0});
  }
}

void MessageTable::insert_row(const Message& message, std::int64_t device) {
  bind_message(insert_, message, device);
  insert_.exec();
  insert_.reset();
}

void MessageTable::insert_pack() {
  std::vector<const Fresh*> order;
  for (const auto& one : fresh_) {
    if (one.packed) order.push_back(&one);
  }
  std::sort(order.begin(), order.end(),
            [](const Fresh* a, const Fresh* b) { return a->message->position < b->message->position; });
  begin_pack(blob_);
  for (const auto* one : order) {
    append_to_pack(blob_, *one->message, one->device->number);
    made_.messages.push_back(one->message);
    made_.devices.push_back(one->device);
  }
  made_.left = order.size();
  made_.bytes = together_bytes_;
  insert_pack_.bind(1, static_cast<std::int64_t>(last_pack_) + 1);
  insert_pack_.bindNoCopy(2, blob_.data(), static_cast<int>(blob_.size()));
  insert_pack_.exec();
  insert_pack_.reset();
}

void MessageTable::delete_pack(std::uint32_t number) {
  for (auto* statement : {&delete_pack_, &unmark_}) {
    statement->bind(1, static_cast<std::int64_t>(number));
    statement->exec();
    statement->reset();
  }
  deleted_.push_back(number);
}

void MessageTable::explode(std::uint32_t which) {
  delete_pack(which);
  deleted_.pop_back();
  exploded_.push_back(which);
  const auto& [messages, devices, marks, left, bytes] = packs_.at(which);
  const auto touched = touched_.find(which);
  const auto& gone = touched == touched_.end() ? marks : touched->second.gone;
  for (std::size_t at = 0; at < messages.size(); ++at) {
    if (!gone.has(at)) insert_row(*messages[at], devices[at]->number);
  }
}

MessageTable::Touched MessageTable::state_of(std::uint32_t number) const {
  const auto& pack = packs_.at(number);
  return {pack.gone, pack.left};
}

std::vector<MessagePtr> MessageTable::read(const DeviceId& id, Position after, std::size_t limit,
                                           std::size_t max_bytes) {
  std::vector<MessagePtr> out;
  const auto* device = index_.find(id);
  if (device == nullptr) return out;
  std::size_t bytes = 0;
  for (auto row = SpoolIndex::behind(*device, after.value); row != device->rows.end() && out.size() < limit; ++row) {
    if (!out.empty() && bytes + row->footprint > max_bytes) break;
    bytes += row->footprint;
    if (row->pack != 0) {
      const auto& messages = packs_.at(row->pack).messages;
      out.push_back(messages[place_of(messages, row->position)]);
      continue;
    }
    select_.bind(1, static_cast<std::int64_t>(row->position));
    if (!select_.executeStep()) {
      throw SQLite::Exception("row " + std::to_string(row->position) + " is missing", SQLITE_CORRUPT);
    }
    auto telemetry = read_telemetry(id, select_, 1);
    if (!telemetry) throw SQLite::Exception("row " + std::to_string(row->position) + " is unreadable", SQLITE_CORRUPT);
    const WallTime received(Milliseconds(select_.getColumn(0).getInt64()));
    select_.reset();
    out.push_back(std::make_shared<Message>(Message{{row->position}, received, std::move(*telemetry)}));
  }
  return out;
}

void MessageTable::reset() noexcept {
  for (auto* statement : {&insert_, &erase_, &select_, &insert_pack_, &delete_pack_, &mark_, &unmark_}) {
    statement->tryReset();
  }
}

}  // namespace trunkline
