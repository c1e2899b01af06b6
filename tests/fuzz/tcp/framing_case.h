// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/frame_corpus.h"

namespace trunkline::test {

// Every kind, with the options that add code.
inline std::vector<Framing> fuzzed_framings() {
  using Kind = FramingKind;
  std::vector<Framing> out;
  for (auto kind = 0; kind <= static_cast<int>(Kind::octets); ++kind) {
    out.push_back({.max_length = 64, .kind = static_cast<Kind>(kind), .start = "\x02", .size = 5});
    out.back().end = out.back().kind == Kind::marks ? "\x03" : "\n";
  }
  Framing marks{.end = "\x03", .max_length = 64, .kind = Kind::marks, .start = "\x02", .check = FrameCheck::bcc};
  out.push_back(marks);
  marks.check_inside = true;
  out.push_back(marks);
  marks.check = FrameCheck::crc16;
  marks.check_hex = marks.check_start = true;
  out.push_back(marks);
  marks.stuffed = true;
  out.push_back(marks);
  marks.check_inside = false;
  marks.end = "\x03\x03";
  out.push_back(marks);
  out.push_back({.end = "", .max_length = 64});
  out.push_back({.max_length = 64, .kind = Kind::modbus_rtu, .side = ModbusSide::both});
  out.push_back({.max_length = 64, .kind = Kind::fixed, .check = FrameCheck::sum, .magic = "\xAA\x55", .size = 6});
  out.push_back({.max_length = 64, .kind = Kind::octets, .magic = "<"});
  out.push_back({.max_length = 64,
                 .kind = Kind::length,
                 .keep = true,
                 .check = FrameCheck::lrc,
                 .magic = "U",
                 .offset = 1,
                 .width = 1,
                 .adjust = 1});
  out.push_back(
      {.max_length = 64, .kind = Kind::length, .magic = "abc", .width = 4, .little_endian = true, .adjust = -8});
  return out;
}

// One input of the fuzzer: the framing, the size of the pieces, the policy, then the stream. Does it give the same
// messages in pieces as in one, each within the maximum, and is nothing left after a silence?
inline bool framing_agrees(std::string_view input) {
  if (input.size() < 3) return true;
  const auto byte = [&input](std::size_t i) { return static_cast<unsigned char>(input[i]); };
  static const auto framings = fuzzed_framings();
  auto framing = framings[byte(0) % framings.size()];
  // A wrong CRC is how RTU finds its place, so config offers no other policy there.
  if (framing.kind != FramingKind::modbus_rtu) framing.policy = static_cast<CheckPolicy>(byte(2) % 3);
  const std::size_t piece = byte(1) + std::size_t{1};
  const auto stream = input.substr(3);
  FrameFeeder whole(framing);
  whole.feed(stream);
  whole.silence();
  FrameFeeder pieces(framing);
  for (auto rest = stream; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
    pieces.feed(rest.substr(0, piece));
  }
  pieces.silence();
  for (const auto& message : whole.messages) {
    if (message.size() > 520) return false;  // the longest frame of a kind with its own maximum
  }
  return whole.messages == pieces.messages && whole.flagged == pieces.flagged && !whole.reader().partial();
}

}  // namespace trunkline::test
