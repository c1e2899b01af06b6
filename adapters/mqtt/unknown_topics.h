// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/encoding.h"

namespace trunkline::mqtt {

// A sample of the topics on which nobody that we know speaks: the first few different ones, cut, so that a flood of new
// names takes no memory, and always text that JSON can carry. Any thread.
class UnknownTopics {
 public:
  static constexpr std::size_t kMost = 20;
  static constexpr std::size_t kMaxLength = 200;

  void note(std::string_view topic) {
    const std::lock_guard lock(mutex_);
    if (topics_.size() >= kMost) return;
    const auto kept = shown(topic);
    if (std::find(topics_.begin(), topics_.end(), kept) == topics_.end()) topics_.push_back(kept);
  }
  [[nodiscard]] std::vector<std::string> sample() const {
    const std::lock_guard lock(mutex_);
    return topics_;
  }
  // What can be shown of a topic.
  static std::string shown(std::string_view topic) {
    std::string out(topic.substr(0, kMaxLength));
    // A cut within a character loses at most three more bytes; whatever else is no UTF-8 was none before.
    for (int i = 0; i < 3 && is_utf8(topic) && !is_utf8(out); ++i) out.pop_back();
    if (is_utf8(out)) return out;
    for (auto& c : out) {
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> topics_;
};

}  // namespace trunkline::mqtt
