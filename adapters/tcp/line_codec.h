// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "gateway/mapping/device_map.h"

namespace trunkline::tcp {

// Cuts a byte stream into lines. Pure; owned by one connection. The socket reads straight into `space()`, and a line is
// handed out where it lies, so only the rest of a cut line is ever moved. An idle connection costs kSmall bytes: the
// buffer doubles while reads fill it, up to kLarge or what one line may need, and shrinks again when they do not. A
// line longer than the framing allows is dropped up to its end mark and counted, and never held.
//
//   const auto space = codec.space();
//   codec.commit(read(socket, space));
//   while (auto line = codec.next()) ...
class LineCodec {
 public:
  static constexpr std::size_t kSmall = 512;
  static constexpr std::size_t kLarge = 64 * 1024;

  // framing.end is not empty and framing outlives the codec.
  explicit LineCodec(const LineFraming& framing);

  // Where the next bytes go; never empty once next() has returned nothing. Invalidates lines handed out before.
  [[nodiscard]] std::span<char> space();
  void commit(std::size_t count);

  // The next whole line without its end mark, or nothing until more bytes come. Valid until space() is called.
  [[nodiscard]] std::optional<std::string_view> next();

  // Bytes of a line that has not ended.
  [[nodiscard]] bool partial() const { return dropping_ || begin_ != end_; }
  // Over-long lines since the start.
  [[nodiscard]] std::uint64_t overlong() const { return overlong_; }

 private:
  void resize(std::size_t capacity);

  const LineFraming* framing_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;    // of what is not handed out
  std::size_t scanned_ = 0;  // no end mark starts before it
  std::size_t end_ = 0;
  std::size_t wanted_ = kSmall;
  unsigned small_reads_ = 0;
  bool dropping_ = false;
  std::uint64_t overlong_ = 0;
};

}  // namespace trunkline::tcp
