// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/mbus.h"

#include <algorithm>

#include "adapters/tcp/framing/checks.h"

namespace trunkline::tcp {

namespace {

constexpr char kAck = '\xE5';
constexpr char kShort = '\x10';
constexpr char kLong = '\x68';
constexpr char kStop = '\x16';

// A frame of `size` bytes whose check is over what stands between `from` and the last two.
Look judge(std::string_view bytes, std::size_t from, std::size_t size) {
  if (bytes.size() < size) return Look::more();
  const auto frame = bytes.substr(0, size);
  if (frame.back() != kStop) return Look::bad(size, FrameFault::malformed);
  const bool right =
      check_matches(FrameCheck::sum, false, frame.substr(from, size - from - 2), frame.substr(size - 2, 1));
  return right ? Look::frame(size, frame) : Look::unchecked(size, frame);
}

}  // namespace

Look MbusScanner::look(std::string_view bytes) {
  const auto begin = std::min(bytes.find_first_of("\xE5\x10\x68"), bytes.size());
  if (begin > 0) return Look::skip(begin, FrameFault::noise);
  if (bytes.front() == kAck) return Look::frame(1, bytes.substr(0, 1));
  if (bytes.front() == kShort) return judge(bytes, 1, 5);
  if ((bytes.size() > 2 && bytes[1] != bytes[2]) || (bytes.size() > 3 && bytes[3] != kLong)) {
    return Look::bad(1, FrameFault::noise);
  }
  if (bytes.size() < 4) return Look::more();
  const std::size_t length = static_cast<unsigned char>(bytes[1]);
  if (length < 3) return Look::bad(1, FrameFault::noise);  // C, A and CI
  return judge(bytes, 4, length + 6);
}

}  // namespace trunkline::tcp
