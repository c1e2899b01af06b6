// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>

#include "gateway/net/connect.h"
#include "gateway/net/socket_stream.h"

namespace trunkline::net {

namespace {

using asio::ip::tcp;

std::string peer_text(const tcp::socket& socket) {
  error_code error;
  const auto address = socket.remote_endpoint(error);
  return error ? std::string("unknown") : to_endpoint(address).text();
}

tcp::socket& raw(tcp::socket& socket) {
  return socket;
}
tcp::socket& raw(TlsSocket& socket) {
  return socket.next_layer();
}

std::string identity_of(tcp::socket& /*socket*/) {
  return {};
}
std::string identity_of(TlsSocket& socket) {
  return peer_identity(socket.native_handle());
}

// Peers often close TLS without close_notify; AMQP and our other protocols frame their messages, so nothing is lost by
// treating that as an ordinary end. A composed operation that goes on after close() meets a closed descriptor.
error_code plain(error_code error) {
  if (error == asio::ssl::error::stream_truncated) return asio::error::eof;
  if (error == asio::error::bad_descriptor) return asio::error::operation_aborted;
  return error;
}

// The socket is shared with its outstanding operations, because Asio's composed ones refer to it until they end.
template <class Socket>
class SocketStream final : public Stream {
 public:
  explicit SocketStream(std::shared_ptr<Socket> socket) : socket_(std::move(socket)), peer_(peer_text(raw(*socket_))) {}
  ~SocketStream() override { shut(); }

  void async_read_some(asio::mutable_buffer buffer, Handler handler) override {
    socket_->async_read_some(buffer, [socket = socket_, handler = std::move(handler)](error_code error, std::size_t n) {
      handler(plain(error), n);
    });
  }
  void async_write(asio::const_buffer buffer, Handler handler) override {
    asio::async_write(*socket_, buffer,
                      [socket = socket_, handler = std::move(handler)](error_code error, std::size_t n) {
                        handler(plain(error), n);
                      });
  }
  void close() override { shut(); }
  void reset() override {
    error_code ignored;
    raw(*socket_).set_option(tcp::socket::linger(true, 0), ignored);
    shut();
  }
  asio::any_io_executor executor() override { return socket_->get_executor(); }
  std::string peer() const override { return peer_; }
  std::string identity() const override { return identity_of(*socket_); }

 private:
  void shut() {
    error_code ignored;
    raw(*socket_).close(ignored);
  }

  std::shared_ptr<Socket> socket_;
  std::string peer_;
};

}  // namespace

void set_tcp_options(tcp::socket& socket, const TcpOptions& options) {
  // A socket that refuses one of these still works; the protocol's own timers find a dead peer, only later.
  const int handle = socket.native_handle();
  const auto set = [handle](int level, int name, int value) {
    ::setsockopt(handle, level, name, &value, sizeof value);
  };
  // Half of the time until the first probe, the other half for the others. Linux counts keepalive in seconds.
  constexpr int kProbes = 3;
  const auto dead_after = static_cast<int>(options.dead_after.count());
  const int idle = dead_after == 0 ? 30 : std::max(1, dead_after / 2000);
  const int interval = dead_after == 0 ? 10 : std::max(1, dead_after / 2000 / kProbes);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, idle);
  set(IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  // RFC 5482: bytes that nobody acknowledged for so long mean a dead path.
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, dead_after == 0 ? 30'000 : dead_after);
}

Endpoint to_endpoint(const tcp::endpoint& address) {
  return Endpoint{address.address().to_string(), address.port()};
}

std::unique_ptr<Stream> tcp_stream(tcp::socket socket, const TcpOptions& options) {
  set_tcp_options(socket, options);
  return std::make_unique<SocketStream<tcp::socket>>(std::make_shared<tcp::socket>(std::move(socket)));
}

std::unique_ptr<Stream> tls_stream(std::shared_ptr<TlsSocket> socket) {
  return std::make_unique<SocketStream<TlsSocket>>(std::move(socket));
}

}  // namespace trunkline::net
