// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace trunkline {

// Carries values from any thread to the one thread that owns the mailbox. The wake function is called once per
// empty-to-filled edge, outside the lock, on the pushing thread; the owner then takes everything at once. Bounded:
// `try_push` refuses at the capacity, and a refusal is an answer (back pressure), not an error. `push` is for what has
// been bounded elsewhere (settlements of admitted messages, outcomes of accepted commands) and always succeeds.
template <class T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t capacity = static_cast<std::size_t>(-1)) : capacity_(capacity) {}

  // Set before the first push and not changed while others push.
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  [[nodiscard]] bool try_push(T& value) {
    bool edge = false;
    {
      std::lock_guard lock(mutex_);
      if (values_.size() >= capacity_) return false;
      edge = values_.empty();
      values_.push_back(std::move(value));
    }
    if (edge && wake_) wake_();
    return true;
  }
  void push(T value) {
    bool edge = false;
    {
      std::lock_guard lock(mutex_);
      edge = values_.empty();
      values_.push_back(std::move(value));
    }
    if (edge && wake_) wake_();
  }

  // Owner only: replaces `into` by everything that waits, in order of arrival; its storage is reused.
  void take(std::vector<T>& into) {
    into.clear();
    std::lock_guard lock(mutex_);
    values_.swap(into);
  }

  [[nodiscard]] std::size_t size() const {
    std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<T> values_;
  std::size_t capacity_;
  std::function<void()> wake_;
};

}  // namespace trunkline
