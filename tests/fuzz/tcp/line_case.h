// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "tests/support/line_reference.h"

namespace trunkline::test {

// One input of the fuzzer: which end mark, the greatest length, the size of the pieces, then the stream itself. Does
// the codec say what the reference says?
inline bool codec_agrees(std::string_view input) {
  if (input.size() < 3) return true;
  static constexpr std::string_view kMarks[] = {"\n", "\r\n", "aab", "\n\n"};
  const auto byte = [&input](std::size_t i) { return static_cast<unsigned char>(input[i]); };
  const Framing framing{std::string(kMarks[byte(0) % 4]), byte(1)};
  const std::size_t piece = byte(2) + std::size_t{1};
  input.remove_prefix(3);
  tcp::FrameReader codec(framing);
  Lines lines;
  for (auto rest = input; !rest.empty();) {
    const auto now = rest.substr(0, piece);
    feed(codec, now, lines);
    rest.remove_prefix(now.size());
  }
  const auto expected = split(framing, input);
  return lines.lines == expected.lines && codec.counts().overlong == expected.overlong;
}

}  // namespace trunkline::test
