// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace trunkline::hub {

// Values behind small numbers from 1, so that a value can be named by a void* context that is null for none. Numbers
// are reused. Not thread-safe.
template <class T>
class Slab {
 public:
  void* put(T value) {
    if (free_.empty()) {
      values_.push_back(std::move(value));
      return name(values_.size());
    }
    const auto index = free_.back();
    free_.pop_back();
    values_[index] = std::move(value);
    return name(index + 1);
  }
  T take(void* context) {
    const auto index = reinterpret_cast<std::uintptr_t>(context) - 1;
    free_.push_back(index);
    return std::move(values_[index]);
  }
  [[nodiscard]] std::size_t size() const { return values_.size() - free_.size(); }

 private:
  static void* name(std::uintptr_t number) { return reinterpret_cast<void*>(number); }

  std::vector<T> values_;
  std::vector<std::uintptr_t> free_;
};

}  // namespace trunkline::hub
