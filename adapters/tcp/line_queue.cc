// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/line_queue.h"

#include <algorithm>
#include <utility>

#include "gateway/base/check.h"

namespace trunkline::tcp {

namespace {

// Whatever the answer says, do not ask more often than this, nor less.
constexpr Milliseconds kShortestRetry{5};
constexpr Milliseconds kLongestRetry{60'000};

}  // namespace

std::uint64_t LineQueue::push(std::string_view body, std::uint64_t connection, bool flagged, std::uint64_t tag,
                              std::string key) {
  lines_.push_back({std::string(body), connection, State::offered, flagged, tag, std::move(key)});
  bytes_ += body.size();
  ++offered_;
  if (lines_.size() >= limits_.lines || bytes_ >= limits_.bytes) full_ = true;
  return first_ + lines_.size() - 1;
}

void LineQueue::push_waiting(std::string_view body, std::uint64_t connection, bool flagged, std::uint64_t tag,
                             std::string key) {
  TRUNKLINE_CHECK(held_back_, "only what an earlier line holds back waits");
  push(body, connection, flagged, tag, std::move(key));
  lines_.back().state = State::throttled;
  --offered_;
  ++throttled_;
}

void LineQueue::answer(std::uint64_t number, const Admission& admission, SteadyTime now) {
  TRUNKLINE_CHECK(number >= first_ && number - first_ < lines_.size(), "an answer belongs to a line that waits");
  auto& line = lines_[number - first_];
  TRUNKLINE_CHECK(line.state == State::offered, "a line is answered once for each offer");
  --offered_;
  const bool probe = probing_ && number == probe_;
  if (probe) probing_ = false;
  switch (admission.kind) {
    case Admission::Kind::throttled:
      line.state = State::throttled;
      ++throttled_;
      held_back_ = true;
      release_all_ = false;
      retry_at_ = now + std::clamp(admission.retry_after, kShortestRetry, kLongestRetry);
      return;
    case Admission::Kind::safe:
    case Admission::Kind::duplicate:
      line.state = State::safe;
      break;
    case Admission::Kind::refused:
      line.state = State::refused;
      break;
    case Admission::Kind::abandoned:
      line.state = State::abandoned;
      break;
  }
  if (probe) {
    release_all_ = true;
    retry_at_ = now;
  }
  if (throttled_ == 0 && !probing_) held_back_ = release_all_ = false;
}

std::optional<LineQueue::Again> LineQueue::again(SteadyTime now) {
  if (!held_back_ || probing_ || now < retry_at_) return std::nullopt;
  const auto oldest =
      std::find_if(lines_.begin(), lines_.end(), [](const Line& line) { return line.state == State::throttled; });
  if (oldest == lines_.end()) return std::nullopt;
  oldest->state = State::offered;
  --throttled_;
  ++offered_;
  const auto number = first_ + static_cast<std::uint64_t>(oldest - lines_.begin());
  if (!release_all_) {
    probing_ = true;
    probe_ = number;
  } else if (throttled_ == 0) {
    held_back_ = release_all_ = false;
  }
  return Again{number, oldest->body, oldest->flagged, oldest->key, probing_};
}

void LineQueue::settle(std::vector<Ended>& ended) {
  while (!lines_.empty() && lines_.front().state != State::offered && lines_.front().state != State::throttled) {
    const auto& line = lines_.front();
    const auto end = line.state == State::safe      ? End::safe
                     : line.state == State::refused ? End::refused
                                                    : End::abandoned;
    ended.push_back({line.connection, line.tag, end});
    bytes_ -= line.body.size();
    lines_.pop_front();
    ++first_;
  }
  if (full_ && lines_.size() <= limits_.lines / 2 && bytes_ <= limits_.bytes / 2) full_ = false;
}

}  // namespace trunkline::tcp
