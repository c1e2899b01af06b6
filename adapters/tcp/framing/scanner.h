// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "gateway/mapping/framing.h"

namespace trunkline::tcp {

// Why bytes are no message.
enum class FrameFault : std::uint8_t {
  none,       // a mark or a separator
  noise,      // between frames
  overlong,   // past framing.max
  check,      // the check value is wrong
  malformed,  // what the framing forbids
  timeout,    // silence inside a frame
};

// What a scanner says of the bytes at the front of the stream.
struct Look {
  enum class Kind : std::uint8_t {
    more,   // cannot tell yet
    frame,  // the first `length` bytes are a frame whose message is `body`
    skip,   // the first `length` bytes belong to no frame
    bad,    // the first `length` bytes looked like a frame and are none; one may begin within them
  };
  Kind kind = Kind::more;
  std::size_t length = 0;
  std::string_view body{};
  FrameFault fault = FrameFault::none;

  static Look more() { return {}; }
  static Look frame(std::size_t length, std::string_view body) { return {Kind::frame, length, body}; }
  static Look skip(std::size_t length, FrameFault fault) { return {Kind::skip, length, {}, fault}; }
  static Look bad(std::size_t length, FrameFault fault) { return {Kind::bad, length, {}, fault}; }
  // A whole frame whose check is wrong: framing.policy decides, so it has its body.
  static Look unchecked(std::size_t length, std::string_view body) {
    return {Kind::bad, length, body, FrameFault::check};
  }
};

// One framing kind: finds the first frame of a stream. Pure; owned by one FrameReader, one thread. Any bytes are fine
// and none make it fail. It may remember how far it has looked, for after `more` it sees the same front again with more
// behind; after anything else restart() is called and the front has moved. A body lies in `bytes` or in the scanner,
// valid until the next call.
class Scanner {
 public:
  virtual ~Scanner() = default;
  virtual Look look(std::string_view bytes) = 0;  // never empty
  virtual void restart() {}

  // Nothing more came within framing.timeout: look() said `more` of these bytes, or there are none.
  virtual Look on_silence(std::string_view bytes) { return Look::bad(bytes.size(), FrameFault::timeout); }

  // Bytes at which `more` is no answer any more: the frame is over-long.
  [[nodiscard]] virtual std::size_t limit() const { return std::numeric_limits<std::size_t>::max(); }

  // In a frame that is being dropped, although no byte of it is held.
  [[nodiscard]] virtual bool dropping() const { return false; }
};

// The scanner of framing.kind. `framing` outlives it.
std::unique_ptr<Scanner> make_scanner(const Framing& framing);

}  // namespace trunkline::tcp
