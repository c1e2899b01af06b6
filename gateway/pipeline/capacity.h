// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace trunkline {

// How much the gateway may still promise. Intake reserves before a message is stamped; the store gives back when the
// message has left the spool; so a full spool is an answer at the door and never a surprise behind it. Any thread. Dead
// letters stay reserved, because they stay on the disk.
class Capacity {
 public:
  Capacity(std::uint64_t max_bytes, std::uint64_t max_messages) : max_bytes_(max_bytes), max_messages_(max_messages) {}

  [[nodiscard]] bool reserve(std::uint64_t bytes) {
    if (bytes_.fetch_add(bytes) + bytes > max_bytes_) {
      bytes_.fetch_sub(bytes);
      return false;
    }
    if (messages_.fetch_add(1) + 1 > max_messages_) {
      messages_.fetch_sub(1);
      bytes_.fetch_sub(bytes);
      return false;
    }
    return true;
  }
  // For what was there at start; may pass the limit.
  void occupy(std::uint64_t bytes, std::uint64_t messages) {
    bytes_.fetch_add(bytes);
    messages_.fetch_add(messages);
  }
  void give_back(std::uint64_t bytes) {
    bytes_.fetch_sub(bytes);
    messages_.fetch_sub(1);
  }

  // Set by the store thread while commits fail: nothing more is promised then.
  void set_failed(bool failed) { failed_.store(failed); }
  [[nodiscard]] bool failed() const { return failed_.load(); }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(); }
  [[nodiscard]] std::uint64_t max_bytes() const { return max_bytes_; }

 private:
  const std::uint64_t max_bytes_;
  const std::uint64_t max_messages_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> messages_{0};
  std::atomic<bool> failed_{false};
};

}  // namespace trunkline
