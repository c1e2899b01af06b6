// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace trunkline::mqtt {

// A sample of the topics on which nobody that we know speaks: the first few different ones, cut, so that a flood of new
// names takes no memory. Any thread.
class UnknownTopics {
 public:
  static constexpr std::size_t kMost = 20;
  static constexpr std::size_t kMaxLength = 200;

  void note(std::string_view topic) {
    const std::lock_guard lock(mutex_);
    if (topics_.size() >= kMost) return;
    const std::string kept(topic.substr(0, kMaxLength));
    if (std::find(topics_.begin(), topics_.end(), kept) == topics_.end()) topics_.push_back(kept);
  }
  [[nodiscard]] std::vector<std::string> sample() const {
    const std::lock_guard lock(mutex_);
    return topics_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> topics_;
};

}  // namespace trunkline::mqtt
