// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "gateway/base/clock.h"

namespace trunkline::mqtt {

// Values from any thread to the one thread that sleeps on it.
template <class T>
class WaitQueue {
 public:
  // False once closed; the value is then untouched.
  bool push(T&& value) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      values_.push_back(std::move(value));
      if (values_.size() > 1) return true;
    }
    filled_.notify_one();
    return true;
  }

  // The same, but refuses beyond a number of waiting values: for what a peer can cause at will.
  bool push_bounded(T&& value, std::size_t most) {
    {
      std::lock_guard lock(mutex_);
      if (closed_ || values_.size() >= most) return false;
      values_.push_back(std::move(value));
    }
    filled_.notify_one();
    return true;
  }

  [[nodiscard]] bool empty() {
    std::lock_guard lock(mutex_);
    return values_.empty();
  }

  // Owner only: replaces `into` by all that waits, as soon as there is something or at the deadline.
  void take(std::vector<T>& into, SteadyTime deadline) {
    into.clear();
    std::unique_lock lock(mutex_);
    const auto filled = [this] { return !values_.empty(); };
    if (deadline == kNever) {
      filled_.wait(lock, filled);
    } else {
      filled_.wait_until(lock, deadline, filled);
    }
    values_.swap(into);
  }

  // Owner only: refuses what comes from now on and hands over what still waits.
  void close(std::vector<T>& rest) {
    rest.clear();
    std::lock_guard lock(mutex_);
    closed_ = true;
    values_.swap(rest);
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<T> values_;
  bool closed_ = false;
};

}  // namespace trunkline::mqtt
