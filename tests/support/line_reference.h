// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/frame_reader.h"

namespace trunkline::test {

struct Lines {
  std::vector<std::string> lines;
  std::uint64_t overlong = 0;
};

// What line framing means, said in the plainest way; the codec is checked against it. Text after the last end mark
// counts as over-long as soon as no end mark could make it short enough.
inline Lines split(const Framing& framing, std::string_view text) {
  Lines out;
  while (true) {
    const auto found = text.find(framing.end);
    if (found == std::string_view::npos) break;
    if (found > framing.max_length) {
      ++out.overlong;
    } else {
      out.lines.emplace_back(text.substr(0, found));
    }
    text.remove_prefix(found + framing.end.size());
  }
  if (text.size() >= framing.max_length + framing.end.size()) ++out.overlong;
  return out;
}

// Gives the codec `bytes` in as many pieces as it has room for.
inline void feed(tcp::FrameReader& codec, std::string_view bytes, Lines& out) {
  tcp::feed(codec, bytes, [&] {
    while (const auto line = codec.next()) out.lines.emplace_back(line->body);
  });
}

}  // namespace trunkline::test
