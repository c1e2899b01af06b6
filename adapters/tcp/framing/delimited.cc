// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/delimited.h"

#include <algorithm>

namespace trunkline::tcp {

Look DelimitedScanner::look(std::string_view bytes) {
  const auto found = find(bytes, scanned_);
  if (found == std::string_view::npos) {
    const auto tail = std::min(mark_.size() - 1, bytes.size());
    scanned_ = bytes.size() - tail;
    auto fault = FrameFault::none;
    // Had a frame of the greatest length ended, its mark would have been seen.
    if (!dropping_ && bytes.size() >= most_on_wire() + mark_.size()) {
      dropping_ = true;
      fault = FrameFault::overlong;
    }
    return dropping_ && scanned_ > 0 ? Look::skip(scanned_, fault) : Look::more();
  }
  const auto length = found + mark_.size();
  if (dropping_) {
    dropping_ = false;
    return Look::skip(length, FrameFault::none);
  }
  if (found > most_on_wire()) return Look::skip(length, FrameFault::overlong);
  return decode(length, bytes.substr(0, keep_ && found > 0 ? length : found));
}

Look DelimitedScanner::on_silence(std::string_view bytes) {
  dropping_ = false;
  return Look::skip(bytes.size(), FrameFault::timeout);
}

Look SlipScanner::decode(std::size_t length, std::string_view body) {
  constexpr char kEscape = '\xDB';
  if (body.find(kEscape) == std::string_view::npos) {
    return body.size() > most_ ? Look::skip(length, FrameFault::overlong) : Look::frame(length, body);
  }
  message_.clear();
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != kEscape) {
      message_ += body[i];
      continue;
    }
    ++i;
    if (i < body.size() && body[i] == '\xDC') {
      message_ += '\xC0';
    } else if (i < body.size() && body[i] == '\xDD') {
      message_ += kEscape;
    } else {
      return Look::skip(length, FrameFault::malformed);
    }
  }
  if (message_.size() > most_) return Look::skip(length, FrameFault::overlong);
  return Look::frame(length, message_);
}

Look CobsScanner::decode(std::size_t length, std::string_view body) {
  message_.clear();
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t run = static_cast<unsigned char>(body[at]);
    if (at + run > body.size()) return Look::skip(length, FrameFault::malformed);
    message_ += body.substr(at + 1, run - 1);
    at += run;
    if (run < 255 && at < body.size()) message_ += '\0';
  }
  if (message_.size() > most_) return Look::skip(length, FrameFault::overlong);
  return Look::frame(length, message_);
}

}  // namespace trunkline::tcp
