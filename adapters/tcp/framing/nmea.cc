// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/nmea.h"

#include <algorithm>

#include "adapters/tcp/framing/checks.h"
#include "adapters/tcp/framing/search.h"

namespace trunkline::tcp {

namespace {

enum class Verdict { right, missing, wrong };

// Text between its first character and "*hh": a sentence or a tag block.
Verdict judge(std::string_view text) {
  const auto star = text.rfind('*');
  if (star == std::string_view::npos) return Verdict::missing;
  const auto found = hex_byte(text.substr(star + 1));
  return found && *found == xor_of(text.substr(0, star)) ? Verdict::right : Verdict::wrong;
}

}  // namespace

Look NmeaScanner::look(std::string_view bytes) {
  const auto begin = std::min(bytes.find_first_of("$!\\"), bytes.size());
  if (begin > 0) {
    // The LF of a CRLF is part of the sentence before it.
    const bool line_end = bytes.substr(0, begin).find_first_not_of("\r\n") == std::string_view::npos;
    return Look::skip(begin, line_end ? FrameFault::none : FrameFault::noise);
  }
  const auto end = find_either(bytes, '\r', '\n', scanned_);
  if (end == std::string_view::npos) {
    scanned_ = bytes.size();
    return Look::more();
  }
  scanned_ = end;
  const auto line = bytes.substr(0, end);
  if (line.size() > framing_.max_length) return Look::bad(line.size(), FrameFault::overlong);
  std::size_t sentence = 0;
  bool right = true;
  if (line.front() == '\\') {
    const auto close = line.find('\\', 1);
    if (close == std::string_view::npos || close + 1 == line.size() ||
        (line[close + 1] != '$' && line[close + 1] != '!')) {
      return Look::bad(1, FrameFault::malformed);
    }
    sentence = close + 1;
    right = judge(line.substr(1, close - 1)) == Verdict::right;
  }
  const auto verdict = judge(line.substr(sentence + 1));
  // A sentence within one: the end of the first was lost. Its tag block, if it has one, goes with the second.
  if (const auto inner = verdict == Verdict::right ? std::string_view::npos : find_either(line, '$', '!', sentence + 1);
      inner != std::string_view::npos) {
    const auto tag = line.find('\\', sentence + 1);
    return Look::skip(std::min(inner, tag), FrameFault::malformed);
  }
  right = right && verdict != Verdict::wrong && (verdict == Verdict::right || !framing_.require_check);
  const auto length = end + 1;
  return right ? Look::frame(length, line) : Look::unchecked(length, line);
}

}  // namespace trunkline::tcp
