// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "gateway/base/lazy_queue.h"

namespace trunkline::tcp {

// The acknowledgements that one connection is owed, in the order of its messages, whichever of its devices they belong
// to: a peer counts them (D-01). A message that is refused gets none, and holds up no other. Pure.
class AckOrder {
 public:
  // cumulative: of several that are due at once only the last is said.
  explicit AckOrder(bool cumulative) : cumulative_(cumulative) {}

  // `text` acknowledges the message, unless it is empty; the number names the message in settle().
  std::uint64_t push(std::string text) {
    waiting_.push_back({std::move(text), State::open});
    return first_ + waiting_.size() - 1;
  }

  // Once for each number.
  void settle(std::uint64_t number, bool safe) {
    waiting_[number - first_].state = safe ? State::safe : State::refused;
  }

  // Appends what is to be said now; how many messages that acknowledges.
  std::size_t take(std::string& out) {
    std::size_t count = 0;
    std::string last;
    while (!waiting_.empty() && waiting_.front().state != State::open) {
      auto& front = waiting_.front();
      if (front.state == State::safe && !front.text.empty()) {
        ++count;
        if (cumulative_) {
          last = std::move(front.text);
        } else {
          out += front.text;
        }
      }
      waiting_.pop_front();
      ++first_;
    }
    out += last;
    return count;
  }

 private:
  enum class State : std::uint8_t { open, safe, refused };
  struct Waiting {
    std::string text;
    State state;
  };
  bool cumulative_;
  LazyQueue<Waiting> waiting_;
  std::uint64_t first_ = 0;
};

}  // namespace trunkline::tcp
