// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "gateway/net/connect.h"
#include "gateway/net/socket_stream.h"

namespace trunkline::net {

namespace {

using asio::ip::tcp;

constexpr std::chrono::milliseconds kRetryAccept{100};

// Shared with its outstanding accept, so that a handler may destroy the listener.
class Acceptor final : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(asio::io_context& io, Listener::Handler handler) : acceptor_(io), timer_(io), handler_(std::move(handler)) {}

  error_code listen(const tcp::endpoint& address) {
    error_code error;
    acceptor_.open(address.protocol(), error);
    if (error) return error;
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (error) return error;
    acceptor_.bind(address, error);
    if (error) return error;
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
    return error;
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
      if (!self->handler_) return;
      if (!error) {
        const auto handler = self->handler_;  // survives the handler destroying the listener
        handler(std::move(socket));
        if (self->handler_) self->accept();
      } else if (error == asio::error::connection_aborted) {
        self->accept();  // the peer left the queue
      } else {
        self->accept_later();  // no descriptors or memory: the queue stays as it is, so do not spin on it
      }
    });
  }

  void stop() {
    handler_ = nullptr;
    timer_.cancel();
    error_code ignored;
    acceptor_.close(ignored);
  }

  Endpoint local() const {
    error_code error;
    return to_endpoint(acceptor_.local_endpoint(error));
  }

 private:
  void accept_later() {
    timer_.expires_after(kRetryAccept);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error && self->handler_) self->accept();
    });
  }

  tcp::acceptor acceptor_;
  asio::steady_timer timer_;
  Listener::Handler handler_;
};

class AsioListener final : public Listener {
 public:
  explicit AsioListener(std::shared_ptr<Acceptor> acceptor) : acceptor_(std::move(acceptor)) {}
  ~AsioListener() override { acceptor_->stop(); }
  Endpoint local() const override { return acceptor_->local(); }

 private:
  std::shared_ptr<Acceptor> acceptor_;
};

Result<tcp::endpoint> to_address(asio::io_context& io, const Endpoint& local) {
  error_code error;
  const auto literal = asio::ip::make_address(local.host, error);
  if (!error) return tcp::endpoint(literal, local.port);
  // A name, such as localhost: looked up once, at start.
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(local.host, std::to_string(local.port), tcp::resolver::passive, error);
  if (error || found.empty()) return fail(ErrorCode::not_found, local.text() + ": " + error.message());
  return found.begin()->endpoint();
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(asio::io_context& io, const Endpoint& local, Handler handler) {
  const auto address = to_address(io, local);
  if (!address) return fail(address.error());
  auto acceptor = std::make_shared<Acceptor>(io, std::move(handler));
  if (const auto error = acceptor->listen(*address)) {
    const auto code = error == asio::error::access_denied ? ErrorCode::denied : ErrorCode::unavailable;
    return fail(code, "listening on " + local.text() + ": " + error.message());
  }
  acceptor->accept();
  return std::make_unique<AsioListener>(std::move(acceptor));
}

}  // namespace trunkline::net
