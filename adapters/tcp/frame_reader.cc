// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/frame_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "gateway/base/check.h"

namespace trunkline::tcp {

namespace {

// Enough to find its place in a buffer of short frames whatever came before.
constexpr std::size_t kMostRescan = 1024 * 1024;

}  // namespace

FrameReader::FrameReader(const Framing& framing)
    : framing_(&framing), scanner_(make_scanner(framing)), rescan_left_(kMostRescan) {}

std::span<char> FrameReader::space() {
  if (begin_ == end_) begin_ = end_ = 0;
  // Room for what is wanted next to the unfinished frame; what is left is at most one frame unless reading was paused.
  const auto left = end_ - begin_;
  const auto capacity = std::max(wanted_, left + std::min(wanted_, std::max(left, kSmall)));
  if (capacity > capacity_ || (capacity * 4 <= capacity_ && wanted_ < kLarge)) {
    resize(capacity);
  } else if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, left);
    begin_ = 0;
    end_ = left;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameReader::resize(std::size_t capacity) {
  auto buffer = std::make_unique_for_overwrite<char[]>(capacity);
  const auto left = end_ - begin_;
  if (left > 0) std::memcpy(buffer.get(), buffer_.get() + begin_, left);
  buffer_ = std::move(buffer);
  capacity_ = capacity;
  begin_ = 0;
  end_ = left;
}

void FrameReader::commit(std::size_t count) {
  TRUNKLINE_CHECK(count <= capacity_ - end_, "no more bytes than there was room for");
  end_ += count;
  if (count > 0) silent_ = false;
  rescan_left_ = std::min(rescan_left_ + count * kRescan, kMostRescan);
  constexpr unsigned kPatience = 16;
  if (end_ == capacity_) {
    wanted_ = std::min(wanted_ * 2, kLarge);
    small_reads_ = 0;
  } else if (count >= wanted_ / 8) {
    small_reads_ = 0;
  } else if (++small_reads_ == kPatience) {
    wanted_ = std::max(wanted_ / 2, kSmall);
    small_reads_ = 0;
  }
}

void FrameReader::on_silence() {
  silent_ = true;
  if (begin_ == end_) scanner_->on_silence({});
}

void FrameReader::consume(std::size_t count) {
  TRUNKLINE_CHECK(count > 0 && count <= end_ - begin_, "a scanner goes forward, within what it was shown");
  begin_ += count;
  scanner_->restart();
}

void FrameReader::count(FrameFault fault, std::size_t bytes) {
  switch (fault) {
    case FrameFault::none:
      break;
    case FrameFault::noise:
      counts_.noise_bytes += bytes;
      break;
    case FrameFault::overlong:
      ++counts_.overlong;
      break;
    case FrameFault::check:
      ++counts_.check_failed;
      break;
    case FrameFault::malformed:
      ++counts_.malformed;
      break;
    case FrameFault::timeout:
      ++counts_.timeouts;
      break;
  }
}

// How much of what is no frame goes.
std::size_t FrameReader::give_up(std::size_t length) {
  if (rescan_left_ < length) return length;
  rescan_left_ -= length;
  return 1;
}

std::optional<FrameReader::Frame> FrameReader::next() {
  bool timed_out = false;  // counted once, however many bytes it takes to find nothing in the rest
  while (begin_ != end_) {
    const std::string_view waiting(buffer_.get() + begin_, end_ - begin_);
    auto look = scanner_->look(waiting);
    if (look.kind == Look::Kind::more) {
      if (waiting.size() >= scanner_->limit()) {
        look = Look::bad(waiting.size(), FrameFault::overlong);
      } else if (silent_) {
        look = scanner_->on_silence(waiting);
        if (std::exchange(timed_out, true) && look.fault == FrameFault::timeout) look.fault = FrameFault::noise;
      }
    }
    switch (look.kind) {
      case Look::Kind::more:
        return std::nullopt;
      case Look::Kind::frame:
        consume(look.length);
        return Frame{look.body, false};
      case Look::Kind::skip:
        count(look.fault, look.length);
        consume(look.length);
        break;
      case Look::Kind::bad: {
        const bool delivered = look.fault == FrameFault::check && framing_->policy != CheckPolicy::drop;
        if (delivered) {
          count(look.fault, look.length);
          consume(look.length);
          return Frame{look.body, framing_->policy == CheckPolicy::flag};
        }
        const auto gone = give_up(look.length);
        count(look.fault, gone);
        consume(gone);
        break;
      }
    }
  }
  return std::nullopt;
}

}  // namespace trunkline::tcp
