// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/marks.h"

#include <algorithm>

#include "adapters/tcp/framing/checks.h"
#include "adapters/tcp/framing/search.h"

namespace trunkline::tcp {

namespace {

constexpr char kDle = '\x10';

}  // namespace

std::size_t before_mark(std::string_view bytes, std::string_view mark) {
  const auto found = bytes.find(mark);
  if (found != std::string_view::npos) return found;
  for (auto tail = std::min(mark.size() - 1, bytes.size()); tail > 0; --tail) {
    if (bytes.substr(bytes.size() - tail) == mark.substr(0, tail)) return bytes.size() - tail;
  }
  return bytes.size();
}

MarksScanner::MarksScanner(const Framing& framing)
    : framing_(framing),
      check_(check_size(framing.check, framing.check_hex)),
      limit_(framing.max_length + framing.start.size() + framing.end.size() + check_ + 1) {}

Look MarksScanner::look(std::string_view bytes) {
  const auto& start = framing_.start;
  if (const auto noise = before_mark(bytes, start); noise > 0) return Look::skip(noise, FrameFault::noise);
  if (bytes.size() < start.size()) return Look::more();
  const auto from = std::max(scanned_, start.size());
  const auto end = bytes.find(framing_.end, from);
  if (end == std::string_view::npos) {
    scanned_ = std::max(start.size(), bytes.size() - std::min(bytes.size(), framing_.end.size() - 1));
    return Look::more();
  }
  scanned_ = end;
  if (end > start.size() + framing_.max_length + (framing_.check_inside ? check_ : 0)) {
    return Look::bad(end, FrameFault::overlong);
  }
  return ended(bytes, end);
}

Look MarksScanner::ended(std::string_view bytes, std::size_t end) {
  const auto& mark = framing_.end;
  const auto first = framing_.check_start ? 0 : framing_.start.size();
  const auto last = end + mark.size();
  if (check_ == 0) {
    // Without a check only a start mark within tells that an end was lost.
    const auto inner = find_last(bytes.substr(0, end), framing_.start, 1);
    if (inner != std::string_view::npos && framing_.start != mark) return Look::skip(inner, FrameFault::malformed);
  }
  const bool after = !framing_.check_inside;
  const auto length = last + (after ? check_ : 0);
  if (bytes.size() < length) return Look::more();
  auto body_end = end;
  bool right = true;
  if (after && check_ > 0) {
    right = check_matches(framing_.check, framing_.check_hex, bytes.substr(first, last - first),
                          bytes.substr(last, check_));
  } else if (check_ > 0) {
    right = end >= framing_.start.size() + check_ &&
            check_matches(framing_.check, framing_.check_hex, bytes.substr(first, end - check_ - first),
                          bytes.substr(end - check_, check_));
    // The check may have been what looked like the end mark.
    if (!right && mark.size() == 1 && check_ == 1) {
      if (bytes.size() == last) return Look::more();
      if (bytes[last] == mark.front() &&
          check_matches(framing_.check, false, bytes.substr(first, end - first), bytes.substr(end, 1))) {
        return Look::frame(last + 1, framing_.keep ? bytes.substr(0, last + 1)
                                                   : bytes.substr(framing_.start.size(), end - framing_.start.size()));
      }
    }
    if (end >= framing_.start.size() + check_) body_end = end - check_;
  }
  const auto body =
      framing_.keep ? bytes.substr(0, length) : bytes.substr(framing_.start.size(), body_end - framing_.start.size());
  return right ? Look::frame(length, body) : Look::unchecked(length, body);
}

StuffedScanner::StuffedScanner(const Framing& framing)
    : framing_(framing),
      start_(kDle + framing.start),
      check_(check_size(framing.check, framing.check_hex)),
      limit_(2 * framing.max_length + start_.size() + 1 + framing.end.size() + check_ + 1) {}

Look StuffedScanner::look(std::string_view bytes) {
  if (const auto noise = before_mark(bytes, start_); noise > 0) return Look::skip(noise, FrameFault::noise);
  if (bytes.size() < start_.size()) return Look::more();
  for (auto at = std::max(scanned_, start_.size());;) {
    at = bytes.find(kDle, at);
    if (at == std::string_view::npos) {
      scanned_ = bytes.size();
      return Look::more();
    }
    scanned_ = at;
    const auto rest = bytes.substr(at + 1);
    if (rest.empty()) return Look::more();
    if (rest.front() == kDle) {
      at += 2;
    } else if (rest.substr(0, framing_.end.size()) == framing_.end) {
      return at + 1 + framing_.end.size() < limit_ ? ended(bytes, at) : Look::bad(at, FrameFault::overlong);
    } else if (rest.size() < framing_.end.size() && framing_.end.substr(0, rest.size()) == rest) {
      return Look::more();
    } else {
      // A single DLE is no message byte: the end was lost, and this may be the next start.
      return Look::skip(at, FrameFault::malformed);
    }
  }
}

Look StuffedScanner::ended(std::string_view bytes, std::size_t end) {
  const auto last = end + 1 + framing_.end.size();
  const auto length = last + (framing_.check_inside ? 0 : check_);
  if (bytes.size() < length) return Look::more();
  message_.clear();
  for (auto at = start_.size(); at < end;) {
    const auto dle = std::min(bytes.find(kDle, at), end);
    message_ += bytes.substr(at, std::min(dle + 1, end) - at);
    at = dle + 2;
  }
  bool right = true;
  if (check_ > 0) {
    // The check is over what is meant, not over what stuffing made of it.
    std::string covered = framing_.check_start ? framing_.start : std::string();
    std::string found;
    if (framing_.check_inside) {
      const auto size = std::min(check_, message_.size());
      found = message_.substr(message_.size() - size);
      message_.resize(message_.size() - size);
      covered += message_;
    } else {
      covered += message_ + framing_.end;
      found = bytes.substr(last, check_);
    }
    right = check_matches(framing_.check, framing_.check_hex, covered, found);
  }
  if (message_.size() > framing_.max_length) return Look::skip(length, FrameFault::overlong);
  const auto body = framing_.keep ? bytes.substr(0, length) : std::string_view(message_);
  return right ? Look::frame(length, body) : Look::unchecked(length, body);
}

}  // namespace trunkline::tcp
