// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "gateway/base/completion.h"

namespace trunkline::test {

// For what can only be looked at, such as a counter: looks again and again until it is so or time runs out.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Gives out one completion and waits for what it is answered. Must outlive it.
template <class T>
class Awaited {
 public:
  Completion<T> completion() {
    return Completion<T>([this](T value) {
      std::lock_guard lock(mutex_);
      value_ = std::move(value);
      changed_.notify_all();
    });
  }
  std::optional<T> wait(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return value_.has_value(); });
    return value_;
  }
  [[nodiscard]] bool answered() {
    std::lock_guard lock(mutex_);
    return value_.has_value();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_;
};

}  // namespace trunkline::test
