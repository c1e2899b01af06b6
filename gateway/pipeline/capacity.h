// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>
#include <span>
#include <unordered_map>

#include "gateway/base/clock.h"
#include "gateway/core/device_id.h"
#include "gateway/mapping/device_map.h"

namespace trunkline {

// What the operator allows one device (D-06).
struct DevicePolicy {
  std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_messages = std::numeric_limits<std::uint64_t>::max();
  Milliseconds max_age{0};  // 0: no limit
  OnFull on_full = OnFull::refuse;
  bool synced = true;  // durability = "power"
};

// How much the gateway may still promise, in total and per device. Intake reserves before a message is stamped; the
// store gives back when the message has left the spool; so a full spool is an answer at the door and never a surprise
// behind it. Dead letters stay reserved, because they stay on the disk. Any thread.
class Capacity {
 public:
  struct Limits {
    std::uint64_t max_bytes = 0;
    std::uint64_t max_messages = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t device_bytes = std::numeric_limits<std::uint64_t>::max();  // the share of one device
    // A device without backlog passes a full spool: so many bytes wait in memory for that, and of one device so many
    // messages and an eighth of the bytes, but always one.
    std::uint64_t pass_bytes = 4 * 1024 * 1024;
    std::uint64_t pass_messages = 16;
    std::uint64_t beside_bytes = 0;  // of max_bytes, for what is no message: commands in our own care
  };
  enum class Answer {
    kept,      // there is room
    passing,   // the spool is full, but the hub takes this device's messages: it may wait in memory for that
    full,      // the gateway has no room
    at_limit,  // this device has reached its own limit, and is not to drop its oldest
  };

  explicit Capacity(Limits limits) : limits_(limits) {}

  // Before start; `fallback` is for devices without a policy of their own.
  void set_policy(const DeviceId& device, const DevicePolicy& policy);
  void set_fallback(const DevicePolicy& policy) { fallback_ = policy; }
  [[nodiscard]] DevicePolicy policy(const DeviceId& device) const;

  [[nodiscard]] Answer reserve(const DeviceId& device, std::uint64_t bytes, DevicePolicy* policy = nullptr);
  // For what was there at start, or what is moved within the spool; may pass the limits.
  void occupy(const DeviceId& device, std::uint64_t bytes, std::uint64_t messages = 1);
  void give_back(const DeviceId& device, std::uint64_t bytes);
  struct Freed {
    DeviceId device;
    std::uint64_t bytes = 0;
  };
  void give_back(std::span<const Freed> freed);
  // A passing message left memory; or found room in the spool after all.
  void give_back_passing(const DeviceId& device, std::uint64_t bytes);
  [[nodiscard]] bool settle_in(const DeviceId& device, std::uint64_t bytes);

  // Room for what is no message; false: there is none.
  [[nodiscard]] bool reserve_beside(std::uint64_t bytes);
  void occupy_beside(std::uint64_t bytes);
  void give_back_beside(std::uint64_t bytes);

  // By how much a device is over its own limit: what drop_oldest has to make room for.
  struct Excess {
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
  };
  [[nodiscard]] Excess excess(const DeviceId& device) const;

  // Set by the store thread while commits fail: nothing more is promised then.
  void set_failed(bool failed);
  [[nodiscard]] bool failed() const;
  // Set by the hub thread: the hub takes this device's messages now, as far as we can tell.
  void set_flowing(const DeviceId& device, bool flowing);

  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] std::uint64_t max_bytes() const { return limits_.max_bytes; }
  [[nodiscard]] std::uint64_t passing_bytes() const;

 private:
  struct Device {
    DevicePolicy policy;
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
    std::uint64_t passing = 0;
    std::uint64_t passing_bytes = 0;
    bool flowing = false;
  };
  Device& at(const DeviceId& device) { return devices_.try_emplace(device, Device{fallback_}).first->second; }
  [[nodiscard]] bool may_pass(const Device& device, std::uint64_t bytes) const {
    if (!device.flowing || device.messages > 0 || passing_bytes_ + bytes > limits_.pass_bytes) return false;
    return device.passing == 0 ||
           (device.passing < limits_.pass_messages && device.passing_bytes + bytes <= limits_.pass_bytes / 8);
  }
  void left(const DeviceId& device, std::uint64_t bytes);
  void left_passing(Device& device, std::uint64_t bytes);
  [[nodiscard]] bool room(std::uint64_t bytes) const {
    return bytes_ + bytes <= limits_.max_bytes && messages_ + 1 <= limits_.max_messages;
  }
  [[nodiscard]] std::uint64_t most_bytes(const Device& device) const {
    return std::min(device.policy.max_bytes, limits_.device_bytes);
  }

  // A limit that is the whole gateway's is not the device's own: what comes is held at the door then, not dropped.
  [[nodiscard]] bool has_own_bytes(const Device& device) const { return most_bytes(device) < limits_.max_bytes; }
  [[nodiscard]] bool has_own_messages(const Device& device) const {
    return device.policy.max_messages < limits_.max_messages;
  }

  const Limits limits_;
  DevicePolicy fallback_;
  mutable std::mutex mutex_;
  std::unordered_map<DeviceId, Device> devices_;
  std::uint64_t bytes_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t passing_bytes_ = 0;
  std::uint64_t beside_bytes_ = 0;
  bool failed_ = false;
};

}  // namespace trunkline
