// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/core/outcome.h"

namespace trunkline::tcp {

// The lines of one device that are not answered yet, in the order in which they came (D-01). Pure; owned by the device
// and outlives its connections, because a line that was read is ours even when the connection is gone. It keeps a copy
// of each body, since a throttled line is offered again.
class LineQueue {
 public:
  struct Limits {
    std::size_t lines = 1024;
    std::size_t bytes = 256 * 1024;
  };
  LineQueue() : LineQueue(Limits{}) {}
  explicit LineQueue(Limits limits) : limits_(limits) {}

  // May another line be read? Not while one is throttled, and once full not before half of it is answered.
  [[nodiscard]] bool wants_lines() const { return !held_back_ && !full_; }
  [[nodiscard]] bool held_back() const { return held_back_; }
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] bool empty() const { return lines_.empty(); }
  [[nodiscard]] std::size_t size() const { return lines_.size(); }
  // Lines that are with the ingress now.
  [[nodiscard]] std::size_t offered() const { return offered_; }

  // Does the last line of this connection wait for its answer?
  [[nodiscard]] bool unanswered(std::uint64_t connection) const {
    return !lines_.empty() && lines_.back().connection == connection;
  }

  // Takes a line that is being offered to the ingress; the number names it in answer(). `connection` is who is
  // acknowledged; `flagged` comes back with each offer.
  // `tag` comes back when it is settled, and `key` with each offer.
  std::uint64_t push(std::string_view body, std::uint64_t connection, bool flagged = false, std::uint64_t tag = 0,
                     std::string key = {});
  // While held_back(): a line that came all the same waits with the others.
  void push_waiting(std::string_view body, std::uint64_t connection, bool flagged, std::uint64_t tag, std::string key);

  // What the ingress said, once for each offer. A throttled line makes everything wait for `retry_after`.
  void answer(std::uint64_t number, const Admission& admission, SteadyTime now);

  // When again() may have something.
  [[nodiscard]] SteadyTime next_offer_at() const { return held_back_ && !probing_ ? retry_at_ : kNever; }
  // The next line to offer again: the oldest throttled one first and alone, the others in order once it is taken.
  struct Again {
    std::uint64_t number;
    std::string_view body;
    bool flagged = false;
    std::string_view key{};
    bool first = false;  // alone, after a pause
  };
  std::optional<Again> again(SteadyTime now);

  // Takes the answered lines at the front, in their order.
  enum class End : std::uint8_t { safe, refused, abandoned };
  struct Ended {
    std::uint64_t connection = 0;
    std::uint64_t tag = 0;
    End end = End::safe;
  };
  void settle(std::vector<Ended>& ended);

 private:
  enum class State : std::uint8_t { offered, throttled, safe, refused, abandoned };
  struct Line {
    std::string body;
    std::uint64_t connection;
    State state;
    bool flagged;
    std::uint64_t tag;
    std::string key;
  };

  Limits limits_;
  LazyQueue<Line> lines_;
  std::uint64_t first_ = 0;  // number of lines_.front()
  std::size_t bytes_ = 0;
  std::size_t offered_ = 0;
  std::size_t throttled_ = 0;
  bool full_ = false;
  bool held_back_ = false;    // something is throttled
  bool probing_ = false;      // the oldest throttled line is being offered alone
  bool release_all_ = false;  // the probe was taken: the others may follow
  std::uint64_t probe_ = 0;   // its number
  SteadyTime retry_at_ = kNever;
};

}  // namespace trunkline::tcp
