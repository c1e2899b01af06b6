// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <optional>

#include "gateway/net/connect.h"
#include "gateway/net/endpoint.h"
#include "gateway/ops/control_server.h"
#include "gateway/ops/guests.h"
#include "gateway/ops/status_page.h"

namespace trunkline::ops {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMaxConnections = 32;
constexpr std::chrono::seconds kIdle{30};

class Connection : public std::enable_shared_from_this<Connection>, private Guests::Guest {
 public:
  Connection(tcp::socket socket, Control& control, std::shared_ptr<Guests> guests)
      : Guest(std::move(guests)), stream_(std::move(socket)), control_(control) {}

  void read() {
    waits();
    parser_.emplace();
    parser_->header_limit(8 * 1024);
    parser_->body_limit(1024);
    stream_.expires_after(kIdle);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code failed, std::size_t) {
      if (!failed) self->serve();
    });
  }

 private:
  void leave() override { stream_.close(); }

  void serve() {
    works();
    const auto& request = parser_->get();
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      write(http::status::method_not_allowed, "text/plain", "only GET and HEAD\n");
      return;
    }
    const auto target = request.target();
    if (target == "/") {
      write(http::status::ok, "text/html; charset=utf-8", std::string(kStatusPage));
    } else if (target == "/metrics") {
      write(http::status::ok, "text/plain; version=0.0.4", control_.metrics());
    } else if (target == "/status.json") {
      control_.status([self = shared_from_this()](std::string json) {
        self->write(http::status::ok, "application/json", json + "\n");
      });
    } else if (target == "/healthz") {
      control_.alive(
          [self = shared_from_this()](bool good, const std::string& reason) { self->verdict(good, reason); });
    } else if (target == "/readyz") {
      control_.ready(
          [self = shared_from_this()](bool good, const std::string& reason) { self->verdict(good, reason); });
    } else {
      write(http::status::not_found, "text/plain", "known here: / /metrics /healthz /readyz /status.json\n");
    }
  }

  void verdict(bool good, const std::string& reason) {
    write(good ? http::status::ok : http::status::service_unavailable, "text/plain", (good ? "ok" : reason) + "\n");
  }

  void write(http::status status, const char* type, std::string body) {
    const auto& request = parser_->get();
    response_ = {};
    response_.result(status);
    response_.version(request.version());
    response_.set(http::field::content_type, type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    response_.set("Content-Security-Policy", kStatusPagePolicy);
    response_.keep_alive(request.keep_alive());
    const auto size = body.size();
    if (request.method() != http::verb::head) response_.body() = std::move(body);
    response_.content_length(size);
    waits();
    stream_.expires_after(kIdle);
    http::async_write(stream_, response_, [self = shared_from_this()](error_code failed, std::size_t) {
      if (!failed && self->response_.keep_alive()) self->read();
    });
  }

  beast::tcp_stream stream_;
  Control& control_;
  beast::flat_buffer buffer_{16 * 1024};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

class Server final : public HttpServer {
 public:
  explicit Server(std::unique_ptr<net::Listener> listener) : listener_(std::move(listener)) {}
  [[nodiscard]] std::string local() const override { return listener_->local().text(); }

 private:
  std::unique_ptr<net::Listener> listener_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(asio::io_context& io, const std::string& listen,
                                                     Control& control) {
  const auto endpoint = net::Endpoint::parse(listen);
  if (!endpoint) return fail(endpoint.error().in("status.listen"));
  auto listener = net::Listener::open(
      io, *endpoint, [&control, guests = std::make_shared<Guests>(kMaxConnections)](tcp::socket socket) {
        if (guests->make_room()) std::make_shared<Connection>(std::move(socket), control, guests)->read();
      });
  if (!listener) return fail(listener.error().in("status.listen"));
  return std::unique_ptr<HttpServer>(std::make_unique<Server>(std::move(*listener)));
}

}  // namespace trunkline::ops
