// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace trunkline {

// A counter ("…_total") or a gauge. Any thread; relaxed, because no reader draws conclusions across two of them.
class Metric {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// The registry behind /metrics: names are API. Owned by the composition root and outlives everything that counts.
// `metric` hands out a reference that stays valid; asking again for the same name and label gives the same one. Any
// thread.
class Metrics {
 public:
  // label is empty or one ready pair such as reason="oversize".
  Metric& metric(std::string_view name, std::string_view help, std::string_view label = {});

  // Prometheus text exposition format 0.0.4: "trunkline_" in front of each name, counters told by their "_total".
  [[nodiscard]] std::string text() const;

  // Name with label, value; in order of registration.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> values() const;

 private:
  struct Entry {
    std::string name;
    std::string help;
    std::string label;
    Metric metric;
  };
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;
};

}  // namespace trunkline
