// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/frame_reader.h"
#include "gateway/net/stream.h"

namespace trunkline::tcp {

// One established connection: reads into its frames when asked, gathers what is to be written into as few writes as
// possible. Owned by its line and by its outstanding operations, whose buffers it holds; the loop's thread only.
// After close() the owner hears no more of it.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_bytes(Connection& connection) = 0;  // new ones are in frames()
    // A write ended; `commands` are the numbers of those whose text was in it.
    virtual void on_written(Connection& connection, std::span<const std::uint64_t> commands) = 0;
    virtual void on_read_end(Connection& connection) = 0;                          // the peer sends no more
    virtual void on_failed(Connection& connection, const std::string& error) = 0;  // it is of no use any more
  };

  Connection(Owner& owner, std::unique_ptr<net::Stream> stream, const Framing& framing, std::uint64_t number);

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::string peer() const { return stream_->peer(); }
  [[nodiscard]] std::string identity() const { return stream_->identity(); }
  [[nodiscard]] FrameReader& frames() { return *frames_; }
  // From the next byte on; `framing` outlives the connection.
  void reframe(const Framing& framing);

  // Asks for more bytes; does nothing while it is asking or the peer has ended.
  void read();
  // Appends and writes. The text counts in queued() until the kernel has taken it.
  void write(std::string_view text, std::optional<std::uint64_t> command = std::nullopt);
  [[nodiscard]] std::size_t queued() const { return next_.size() + writing_.size(); }
  [[nodiscard]] bool reading() const { return reading_; }
  [[nodiscard]] bool read_ended() const { return read_ended_; }

  // reset: the peer is told at once, even if it no longer listens to us.
  void close(bool reset = false);

 private:
  void flush();

  Owner* owner_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<FrameReader> frames_;
  std::uint64_t number_;
  bool reading_ = false;
  bool read_ended_ = false;
  std::string writing_;
  std::string next_;
  std::vector<std::uint64_t> writing_commands_;
  std::vector<std::uint64_t> next_commands_;
};

}  // namespace trunkline::tcp
