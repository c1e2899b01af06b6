// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace trunkline {

// Nothing or one value, like std::optional, but copies share it: what is said of a thousand devices is handed from
// configuration to adapter to connection without being there three times. Who changes a value that others share gets
// one of its own first, so it still behaves as a value. Threads: any may read and copy its own; a value is changed
// only by the one who makes it, before anybody else has a copy.
template <typename T>
class SharedValue {
 public:
  SharedValue() = default;
  SharedValue(std::nullopt_t) {}                                           // NOLINT(google-explicit-constructor)
  SharedValue(T value) : value_(std::make_shared<T>(std::move(value))) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] explicit operator bool() const { return value_ != nullptr; }
  [[nodiscard]] bool has_value() const { return value_ != nullptr; }

  // Not without a value.
  const T& operator*() const { return *value_; }
  const T* operator->() const { return value_.get(); }
  T& operator*() { return own(); }
  T* operator->() { return &own(); }

  T& emplace() {
    value_ = std::make_shared<T>();
    return *value_;
  }
  void reset() { value_.reset(); }

 private:
  T& own() {
    if (value_.use_count() > 1) value_ = std::make_shared<T>(std::as_const(*value_));
    return *value_;
  }

  std::shared_ptr<T> value_;
};

}  // namespace trunkline
