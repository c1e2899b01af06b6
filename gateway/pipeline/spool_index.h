// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "gateway/base/lazy_queue.h"
#include "gateway/core/message.h"

namespace trunkline {

// Which positions of which device the spool holds, in memory, so that no disk page is written for it (16 bytes a
// message, gateway/decisions/0004). A mirror of rows, changed only after a commit. Owned by Spool, store thread.
class SpoolIndex {
 public:
  struct Slot {
    std::uint64_t position;
    std::uint32_t footprint;
    std::uint32_t pack = 0;  // the pack that it is in; 0: it has a row of its own
  };
  using Rows = LazyQueue<Slot>;  // ascending
  struct Device {
    std::int64_t number;  // in the table `device`
    Rows rows{};
    std::uint64_t bytes = 0;
    std::size_t packed = 0;  // of rows
  };

  Device& add(const DeviceId& id, std::int64_t number) {
    return devices_.try_emplace(id, Device{number}).first->second;
  }
  // Stays where it is once it is added.
  [[nodiscard]] Device* find(const DeviceId& id) {
    const auto found = devices_.find(id);
    return found == devices_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const Device* find(const DeviceId& id) const {
    const auto found = devices_.find(id);
    return found == devices_.end() ? nullptr : &found->second;
  }
  // Nothing if it is not there.
  [[nodiscard]] static const Slot* find(const Device& device, std::uint64_t position) {
    const auto row = place(device.rows, position);
    return row == device.rows.end() || row->position != position ? nullptr : &*row;
  }
  void append(Device& device, Slot slot) {
    device.rows.push_back(slot);
    device.bytes += slot.footprint;
    if (slot.pack != 0) ++device.packed;
    ++messages_;
    bytes_ += slot.footprint;
    newest_ = std::max(newest_, slot.position);
  }
  // It has a row of its own from now on.
  static void unpack(Device& device, std::uint64_t position) {
    const auto row = place(device.rows, position);
    if (row == device.rows.end() || row->position != position || row->pack == 0) return;
    row->pack = 0;
    --device.packed;
  }
  // The footprint of what was there, nothing if it was not.
  std::optional<std::uint64_t> remove(Device& device, std::uint64_t position) {
    auto& rows = device.rows;
    const auto row = place(rows, position);
    if (row == rows.end() || row->position != position) return std::nullopt;
    const auto footprint = row->footprint;
    if (row->pack != 0) --device.packed;
    rows.erase(row);
    device.bytes -= footprint;
    --messages_;
    bytes_ -= footprint;
    return footprint;
  }
  static Rows::const_iterator behind(const Device& device, std::uint64_t after) {
    return std::upper_bound(device.rows.begin(), device.rows.end(), after,
                            [](std::uint64_t value, const Slot& slot) { return value < slot.position; });
  }

  [[nodiscard]] const std::unordered_map<DeviceId, Device>& devices() const { return devices_; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t newest() const { return newest_; }  // position that ever was in it
  [[nodiscard]] std::uint64_t oldest() const {                    // 0: empty
    std::uint64_t out = 0;
    for (const auto& [id, device] : devices_) {
      if (!device.rows.empty() && (out == 0 || device.rows.front().position < out)) out = device.rows.front().position;
    }
    return out;
  }

 private:
  template <class R>
  static auto place(R& rows, std::uint64_t position) -> decltype(rows.begin()) {
    // What leaves is the oldest, most of the time.
    if (!rows.empty() && rows.front().position >= position) return rows.begin();
    return std::lower_bound(rows.begin(), rows.end(), position,
                            [](const Slot& slot, std::uint64_t value) { return slot.position < value; });
  }

  std::unordered_map<DeviceId, Device> devices_;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t newest_ = 0;
};

}  // namespace trunkline
