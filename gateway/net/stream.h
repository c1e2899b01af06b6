// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>  // before Asio: it forgets to include it for std::exchange

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace trunkline::net {

namespace asio = boost::asio;
using boost::system::error_code;

// An established byte stream, already past its handshakes: TCP and TLS today, WebSocket and proxied ones later as
// further classes, nothing more. Owned by whoever speaks a protocol over it; every method and every handler runs on its
// executor's one thread. At most one read and one write are outstanding; buffers outlive their operation. Failure is
// the error code of the handler; end of stream is asio::error::eof (a TLS peer that closes without close_notify counts
// as that too). Destroying or closing the stream ends outstanding operations with asio::error::operation_aborted.
class Stream {
 public:
  using Handler = std::function<void(error_code, std::size_t)>;

  virtual ~Stream() = default;
  virtual void async_read_some(asio::mutable_buffer buffer, Handler handler) = 0;
  virtual void async_write(asio::const_buffer buffer, Handler handler) = 0;  // all of it
  virtual void close() = 0;                                                  // at once, idempotent
  virtual void reset() = 0;                                                  // closes with a TCP RST
  [[nodiscard]] virtual asio::any_io_executor executor() = 0;
  [[nodiscard]] virtual std::string peer() const = 0;  // "127.0.0.1:5671"
  // Who the handshake proved the peer to be: the common name of its certificate, or the identity of its pre-shared key.
  // Empty if it proved nothing.
  [[nodiscard]] virtual std::string identity() const { return {}; }
};

}  // namespace trunkline::net
