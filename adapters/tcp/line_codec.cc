// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/line_codec.h"

#include <algorithm>
#include <cstring>

#include "gateway/base/check.h"

namespace trunkline::tcp {

LineCodec::LineCodec(const LineFraming& framing) : framing_(&framing) {
  TRUNKLINE_CHECK(!framing.end.empty(), "a line has an end mark");
}

std::span<char> LineCodec::space() {
  if (begin_ == end_) begin_ = scanned_ = end_ = 0;
  // Room for what is wanted next to the unfinished line; what is left is at most one line unless reading was paused.
  const auto left = end_ - begin_;
  const auto capacity = std::max(wanted_, left + std::min(wanted_, std::max(left, kSmall)));
  if (capacity > capacity_ || (capacity * 4 <= capacity_ && wanted_ < kLarge)) {
    resize(capacity);
  } else if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, left);
    scanned_ -= begin_;
    begin_ = 0;
    end_ = left;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void LineCodec::resize(std::size_t capacity) {
  auto buffer = std::make_unique_for_overwrite<char[]>(capacity);
  const auto left = end_ - begin_;
  if (left > 0) std::memcpy(buffer.get(), buffer_.get() + begin_, left);
  buffer_ = std::move(buffer);
  capacity_ = capacity;
  scanned_ -= begin_;
  begin_ = 0;
  end_ = left;
}

void LineCodec::commit(std::size_t count) {
  TRUNKLINE_CHECK(count <= capacity_ - end_, "no more bytes than there was room for");
  end_ += count;
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

std::optional<std::string_view> LineCodec::next() {
  const std::string_view mark = framing_->end;
  while (true) {
    const std::string_view waiting(buffer_.get() + begin_, end_ - begin_);
    const auto found = waiting.find(mark, scanned_ - begin_);
    if (found == std::string_view::npos) {
      const auto tail = std::min(mark.size() - 1, waiting.size());
      scanned_ = end_ - tail;
      // Had a line of the greatest length ended, its mark would have been seen.
      if (!dropping_ && waiting.size() >= framing_->max_length + mark.size()) {
        dropping_ = true;
        ++overlong_;
      }
      if (dropping_) begin_ = scanned_;
      return std::nullopt;
    }
    begin_ += found + mark.size();
    scanned_ = begin_;
    if (dropping_) {
      dropping_ = false;
      continue;
    }
    if (found > framing_->max_length) {
      ++overlong_;
      continue;
    }
    return waiting.substr(0, found);
  }
}

}  // namespace trunkline::tcp
