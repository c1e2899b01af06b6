// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/connection.h"

#include <boost/asio/error.hpp>
#include <utility>

namespace trunkline::tcp {

namespace {

// A burst of acknowledgements must not keep its memory for ever on each of many connections.
void clear(std::string& text) {
  constexpr std::size_t kKept = 1024;
  if (text.capacity() > kKept) {
    text = std::string();
  } else {
    text.clear();
  }
}

}  // namespace

Connection::Connection(Owner& owner, std::unique_ptr<net::Stream> stream, const Framing& framing, std::uint64_t number)
    : owner_(&owner), stream_(std::move(stream)), frames_(std::make_unique<FrameReader>(framing)), number_(number) {}

void Connection::read() {
  if (reading_ || read_ended_ || owner_ == nullptr) return;
  reading_ = true;
  const auto space = frames_->space();
  stream_->async_read_some(net::asio::buffer(space.data(), space.size()),
                           [self = shared_from_this()](net::error_code error, std::size_t count) {
                             self->reading_ = false;
                             if (self->owner_ == nullptr) return;
                             if (error == net::asio::error::eof) {
                               self->read_ended_ = true;
                               self->owner_->on_read_end(*self);
                             } else if (error) {
                               self->owner_->on_failed(*self, error.message());
                             } else {
                               self->frames_->commit(count);
                               self->owner_->on_bytes(*self);
                             }
                           });
}

void Connection::write(std::string_view text, std::optional<std::uint64_t> command) {
  next_ += text;
  if (command) next_commands_.push_back(*command);
  flush();
}

void Connection::reframe(const Framing& framing) {
  const auto rest = frames_->rest();
  auto fresh = std::make_unique<FrameReader>(framing);
  feed(*fresh, rest, [] {});
  frames_ = std::move(fresh);
}

void Connection::flush() {
  if (!writing_.empty() || next_.empty() || owner_ == nullptr) return;
  writing_.swap(next_);
  writing_commands_.swap(next_commands_);
  stream_->async_write(net::asio::buffer(writing_),
                       [self = shared_from_this()](net::error_code error, std::size_t /*count*/) {
                         clear(self->writing_);
                         const auto commands = std::exchange(self->writing_commands_, {});
                         if (self->owner_ == nullptr) return;
                         if (error) {
                           self->owner_->on_failed(*self, error.message());
                         } else {
                           self->flush();
                           self->owner_->on_written(*self, commands);
                         }
                       });
}

void Connection::close(bool reset) {
  owner_ = nullptr;
  if (reset) {
    stream_->reset();
  } else {
    stream_->close();
  }
}

}  // namespace trunkline::tcp
