// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "gateway/base/check.h"
#include "gateway/base/unique_function.h"

namespace trunkline {

// The obligation to answer exactly once. Move-only; the holder calls it from whatever thread it runs on, so the
// function inside must be callable from any thread and must not block. Destroyed uncalled, it answers T::abandoned(). A
// default-constructed one is owed to nobody and may be dropped.
template <class T>
class Completion {
 public:
  Completion() = default;
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, Completion> && std::is_invocable_v<F&, T>) explicit Completion(F&& f)
      : function_(std::forward<F>(f)) {}
  Completion(Completion&& other) noexcept : function_(std::exchange(other.function_, {})) {}
  Completion& operator=(Completion&& other) noexcept {
    if (this != &other) {
      abandon();
      function_ = std::exchange(other.function_, {});
    }
    return *this;
  }
  ~Completion() { abandon(); }

  void operator()(T value) {
    TRUNKLINE_CHECK(function_, "a completion is called once");
    auto function = std::exchange(function_, {});
    function(std::move(value));
  }
  explicit operator bool() const { return static_cast<bool>(function_); }

 private:
  void abandon() {
    if (function_) (*this)(T::abandoned());
  }
  UniqueFunction<void(T)> function_;
};

}  // namespace trunkline
