// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "gateway/core/message.h"

namespace trunkline {

// Carries freshly stamped messages to the hub thread, in order. Bounded: past the capacity only the newest position of
// the device is kept, and the multiplexer reads the messages themselves back from the spool. Pushed under intake's
// lock, taken by the hub thread; one wake per empty-to-filled edge, on the pushing thread.
class LiveFeed {
 public:
  struct Taken {
    std::vector<MessagePtr> messages;
    std::unordered_map<DeviceId, Position> missed;  // newest position that was not carried, per device
  };

  explicit LiveFeed(std::size_t capacity = 16'384) : capacity_(capacity) {}
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  void push(MessagePtr message) {
    bool edge = false;
    {
      std::lock_guard lock(mutex_);
      edge = messages_.empty() && missed_.empty();
      // Behind a missed message of its device, a live one would overtake it.
      const bool behind = !missed_.empty() && missed_.contains(message->telemetry.device);
      if (messages_.size() < capacity_ && !behind) {
        messages_.push_back(std::move(message));
      } else {
        missed_.insert_or_assign(message->telemetry.device, message->position);
      }
    }
    if (edge && wake_) wake_();
  }

  void take(Taken& into) {
    into.messages.clear();
    into.missed.clear();
    std::lock_guard lock(mutex_);
    into.messages.swap(messages_);
    into.missed.swap(missed_);
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::vector<MessagePtr> messages_;
  std::unordered_map<DeviceId, Position> missed_;
  std::function<void()> wake_;
};

}  // namespace trunkline
