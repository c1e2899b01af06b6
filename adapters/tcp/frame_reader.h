// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// What became of the bytes, since the start.
struct FrameCounts {
  std::uint64_t noise_bytes = 0;
  std::uint64_t overlong = 0;
  std::uint64_t check_failed = 0;
  std::uint64_t malformed = 0;
  std::uint64_t timeouts = 0;  // unfinished frames that silence ended

  FrameCounts& operator+=(const FrameCounts& other) {
    noise_bytes += other.noise_bytes;
    overlong += other.overlong;
    check_failed += other.check_failed;
    malformed += other.malformed;
    timeouts += other.timeouts;
    return *this;
  }
  friend FrameCounts operator-(FrameCounts a, const FrameCounts& b) {
    return {a.noise_bytes - b.noise_bytes, a.overlong - b.overlong, a.check_failed - b.check_failed,
            a.malformed - b.malformed, a.timeouts - b.timeouts};
  }
  friend bool operator==(const FrameCounts&, const FrameCounts&) = default;
};

// Cuts a byte stream into frames. Pure; owned by one connection. The socket reads straight into `space()`, and a frame
// is handed out where it lies, so only the rest of a cut frame is ever moved. An idle connection costs kSmall bytes:
// the buffer doubles while reads fill it, up to kLarge or what one frame may need, and shrinks again when they do not.
// An over-long frame is dropped and counted, and never held longer than its kind needs to see that.
//
// What looked like a frame and is none costs its first byte only, so that a frame within it is found; but the bytes
// looked at twice are at most kRescan times those that came, so that no stream makes us slow.
//
//   const auto space = frames.space();
//   frames.commit(read(socket, space));
//   while (auto frame = frames.next()) ...
class FrameReader {
 public:
  static constexpr std::size_t kSmall = 512;
  static constexpr std::size_t kLarge = 64 * 1024;
  static constexpr std::size_t kRescan = 16;

  struct Frame {
    std::string_view body;
    bool flagged = false;  // its check is wrong and framing.policy says to flag it
  };

  // framing outlives the reader.
  explicit FrameReader(const Framing& framing);

  // Where the next bytes go; never empty once next() has returned nothing. Invalidates frames handed out before.
  [[nodiscard]] std::span<char> space();
  void commit(std::size_t count);

  // Nothing came for framing.timeout, and next() had nothing left: it now ends what is unfinished.
  void on_silence();

  // The next whole frame, or nothing until more bytes come. Valid until space() is called.
  [[nodiscard]] std::optional<Frame> next();

  // What came and was not handed out.
  [[nodiscard]] std::string_view rest() const { return {buffer_.get() + begin_, end_ - begin_}; }
  // Bytes of a frame that has not ended.
  [[nodiscard]] bool partial() const { return begin_ != end_ || scanner_->dropping(); }
  [[nodiscard]] const FrameCounts& counts() const { return counts_; }

 private:
  void resize(std::size_t capacity);
  void consume(std::size_t count);
  void count(FrameFault fault, std::size_t bytes);
  std::size_t give_up(std::size_t length);

  const Framing* framing_;
  std::unique_ptr<Scanner> scanner_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // of what is not handed out
  std::size_t end_ = 0;
  std::size_t wanted_ = kSmall;
  std::size_t rescan_left_;
  unsigned small_reads_ = 0;
  bool silent_ = false;
  FrameCounts counts_;
};

// Bytes that are in memory already, as if a socket had brought them; `take` empties next() after each piece.
template <class Take>
void feed(FrameReader& reader, std::string_view bytes, Take take) {
  while (!bytes.empty()) {
    const auto space = reader.space();
    const auto count = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), count, space.begin());
    reader.commit(count);
    bytes.remove_prefix(count);
    take();
  }
}

}  // namespace trunkline::tcp
