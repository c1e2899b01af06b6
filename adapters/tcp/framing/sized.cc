// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/sized.h"

#include <algorithm>
#include <utility>

#include "adapters/tcp/framing/checks.h"
#include "adapters/tcp/framing/marks.h"

namespace trunkline::tcp {

namespace {

bool check_right(const Framing& framing, std::string_view frame) {
  const auto size = check_size(framing.check, false);
  return size == 0 ||
         check_matches(framing.check, false, frame.substr(0, frame.size() - size), frame.substr(frame.size() - size));
}

std::size_t noise_before(std::string_view bytes, std::string_view magic) {
  return magic.empty() ? 0 : before_mark(bytes, magic);
}

}  // namespace

Look FixedScanner::look(std::string_view bytes) {
  if (const auto noise = noise_before(bytes, framing_.magic); noise > 0) return Look::skip(noise, FrameFault::noise);
  if (bytes.size() < framing_.size) return Look::more();
  const auto frame = bytes.substr(0, framing_.size);
  return check_right(framing_, frame) ? Look::frame(framing_.size, frame) : Look::unchecked(framing_.size, frame);
}

Look FixedScanner::on_silence(std::string_view bytes) {
  // With nothing to find a frame by, what comes after the silence is the beginning of one.
  return framing_.magic.empty() && framing_.check == FrameCheck::none ? Look::skip(bytes.size(), FrameFault::timeout)
                                                                      : Look::bad(bytes.size(), FrameFault::timeout);
}

LengthScanner::LengthScanner(const Framing& framing)
    : framing_(framing),
      findable_(!framing.magic.empty() || framing.check != FrameCheck::none),
      check_(check_size(framing.check, false)) {}

Look LengthScanner::look(std::string_view bytes) {
  if (lost_) return Look::skip(bytes.size(), FrameFault::noise);
  if (const auto noise = noise_before(bytes, framing_.magic); noise > 0) return Look::skip(noise, FrameFault::noise);
  const auto header = framing_.offset + framing_.width;
  if (bytes.size() < std::max(header, framing_.magic.size())) return Look::more();
  std::uint64_t field = 0;
  for (std::size_t i = 0; i < framing_.width; ++i) {
    const auto at = framing_.offset + (framing_.little_endian ? framing_.width - 1 - i : i);
    field = field << 8U | static_cast<unsigned char>(bytes[at]);
  }
  const auto length = static_cast<std::int64_t>(header + field) + framing_.adjust;
  const auto least = static_cast<std::int64_t>(std::max(header, framing_.magic.size()) + check_);
  const bool overlong = length > static_cast<std::int64_t>(framing_.max_length);
  if (overlong || length < least) {
    const auto fault = overlong ? FrameFault::overlong : FrameFault::malformed;
    if (findable_) return Look::bad(header, fault);
    lost_ = true;
    return Look::skip(bytes.size(), fault);
  }
  const auto size = static_cast<std::size_t>(length);
  if (bytes.size() < size) return Look::more();
  const auto frame = bytes.substr(0, size);
  const auto body = framing_.keep ? frame : frame.substr(header, size - header - check_);
  return check_right(framing_, frame) ? Look::frame(size, body) : Look::unchecked(size, body);
}

Look LengthScanner::on_silence(std::string_view bytes) {
  lost_ = false;
  return findable_ ? Look::bad(bytes.size(), FrameFault::timeout) : Look::skip(bytes.size(), FrameFault::timeout);
}

Look OctetsScanner::look(std::string_view bytes) {
  if (lost_) return Look::skip(bytes.size(), FrameFault::noise);
  constexpr std::size_t kDigits = 7;
  std::size_t digits = 0;
  std::size_t length = 0;
  while (digits < bytes.size() && digits < kDigits && bytes[digits] >= '0' && bytes[digits] <= '9') {
    length = length * 10 + static_cast<std::size_t>(bytes[digits++] - '0');
  }
  if (digits == bytes.size()) return Look::more();
  if (bytes.front() == '0') return wrong(bytes, digits, FrameFault::malformed);
  if (digits == 0 || bytes[digits] != ' ') return wrong(bytes, digits + 1, FrameFault::noise);
  if (length > framing_.max_length) return wrong(bytes, digits + 1, FrameFault::overlong);
  const auto message = bytes.substr(digits + 1, length);
  const std::string_view magic = framing_.magic;
  if (const auto seen = std::min(magic.size(), message.size()); message.substr(0, seen) != magic.substr(0, seen)) {
    return wrong(bytes, digits + 1, FrameFault::malformed);
  }
  if (message.size() < length) return Look::more();
  return Look::frame(digits + 1 + length, framing_.keep ? bytes.substr(0, digits + 1 + length) : message);
}

Look OctetsScanner::wrong(std::string_view bytes, std::size_t length, FrameFault fault) {
  // Past the whole number: its last digits alone are no length.
  if (!framing_.magic.empty()) return Look::skip(length, fault);
  lost_ = true;
  return Look::skip(bytes.size(), fault);
}

Look OctetsScanner::on_silence(std::string_view bytes) {
  lost_ = false;
  const auto number = std::min(bytes.find_first_not_of("0123456789"), bytes.size());
  return Look::skip(framing_.magic.empty() ? bytes.size() : std::max<std::size_t>(number, 1), FrameFault::timeout);
}

Look IdleScanner::look(std::string_view bytes) {
  if (dropping_) return Look::skip(bytes.size(), FrameFault::none);
  if (bytes.size() <= framing_.max_length) return Look::more();
  dropping_ = true;
  return Look::skip(bytes.size(), FrameFault::overlong);
}

Look IdleScanner::on_silence(std::string_view bytes) {
  return std::exchange(dropping_, false) ? Look::skip(bytes.size(), FrameFault::none)
                                         : Look::frame(bytes.size(), bytes);
}

}  // namespace trunkline::tcp
