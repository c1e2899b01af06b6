// SPDX-License-Identifier: Apache-2.0
// The only place that includes Boost.Beast: its parser and its serializer, over our own byte stream.
#include "tests/hubsim/http_server.h"

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "gateway/net/connect.h"

namespace trunkline::hubsim {
namespace {

namespace http = boost::beast::http;
constexpr std::size_t kMaxBody = 1024 * 1024;
constexpr std::uint32_t kMaxHead = 16 * 1024;
constexpr std::size_t kMaxConnections = 256;
constexpr std::chrono::seconds kHandshake{10};
constexpr std::chrono::seconds kIdle{60};

}  // namespace

class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  class Session;

  Impl(boost::asio::io_context& to, std::shared_ptr<boost::asio::ssl::context> context, Handler what)
      : io(to), tls(std::move(context)), handler(std::move(what)) {}
  void accepted(boost::asio::ip::tcp::socket socket);
  void stop();

  boost::asio::io_context& io;
  std::shared_ptr<boost::asio::ssl::context> tls;
  Handler handler;
  std::unique_ptr<net::Listener> listener;
  std::set<std::shared_ptr<Session>> sessions;
};

// One connection: a request, its answer, the next request.
class HttpServer::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Impl& server) : server_(&server), timer_(server.io) {}

  void start(boost::asio::ip::tcp::socket socket) {
    attempt_ = net::accept_tls(std::move(socket), server_->tls, kHandshake,
                               [self = shared_from_this()](Result<std::unique_ptr<net::Stream>> stream) {
                                 if (!stream) return self->close();
                                 self->stream_ = std::move(*stream);
                                 self->next_request();
                               });
  }

  void close() {
    timer_.cancel();
    if (stream_) stream_->close();
    attempt_.reset();
    if (auto* server = std::exchange(server_, nullptr)) server->sessions.erase(shared_from_this());
  }

 private:
  void next_request() {
    parser_.emplace();
    parser_->eager(true);
    parser_->body_limit(kMaxBody);
    parser_->header_limit(kMaxHead);
    timer_.expires_after(kIdle);
    timer_.async_wait([self = shared_from_this()](net::error_code error) {
      if (!error) self->close();
    });
    parse();
  }

  void parse() {
    net::error_code error;
    while (!parser_->is_done() && !unread_.empty()) {
      const auto used = parser_->put(boost::asio::buffer(unread_), error);
      unread_.erase(0, used);
      if (error == http::error::need_more) break;
      if (error) return refuse(error == http::error::body_limit ? 413 : 400);
    }
    if (parser_->is_done()) return handle();
    stream_->async_read_some(boost::asio::buffer(in_),
                             [self = shared_from_this()](net::error_code failure, std::size_t count) {
                               if (failure || self->server_ == nullptr) return self->close();
                               self->unread_.append(self->in_.data(), count);
                               self->parse();
                             });
  }

  void refuse(int status) {
    keep_alive_ = false;
    answer(
        {status, R"({"Message":"ErrorCode:InvalidOperation;The request cannot be read","ExceptionMessage":""})", {}});
  }

  void handle() {
    timer_.cancel();
    const auto& got = parser_->get();
    keep_alive_ = got.keep_alive();
    HttpRequest request{std::string(got.method_string()), std::string(got.target()),
                        std::string(got[http::field::authorization]), std::string(got[http::field::if_match]),
                        got.body()};
    server_->handler(request, [weak = weak_from_this()](const HttpResponse& response) {
      if (const auto self = weak.lock(); self && self->server_ != nullptr) self->answer(response);
    });
  }

  void answer(const HttpResponse& response) {
    http::response<http::string_body> out(static_cast<http::status>(response.status), 11);
    if (!response.body.empty()) out.set(http::field::content_type, "application/json; charset=utf-8");
    for (const auto& [name, value] : response.headers) out.set(name, value);
    out.keep_alive(keep_alive_);
    out.body() = response.body;
    out.prepare_payload();
    std::ostringstream text;
    text << out;
    out_ = text.str();
    stream_->async_write(boost::asio::buffer(out_), [self = shared_from_this()](net::error_code error, std::size_t) {
      if (error || !self->keep_alive_ || self->server_ == nullptr) return self->close();
      self->next_request();
    });
  }

  Impl* server_;
  boost::asio::steady_timer timer_;
  std::unique_ptr<net::ConnectAttempt> attempt_;
  std::unique_ptr<net::Stream> stream_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::array<char, 16 * 1024> in_{};
  std::string unread_;
  std::string out_;
  bool keep_alive_ = false;
};

void HttpServer::Impl::accepted(boost::asio::ip::tcp::socket socket) {
  if (sessions.size() >= kMaxConnections) return;
  const auto session = std::make_shared<Session>(*this);
  sessions.insert(session);
  session->start(std::move(socket));
}

void HttpServer::Impl::stop() {
  listener.reset();
  while (!sessions.empty()) {
    const auto session = *sessions.begin();
    session->close();
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::open(boost::asio::io_context& io, const net::Endpoint& local,
                                                     std::shared_ptr<boost::asio::ssl::context> tls, Handler handler) {
  auto impl = std::make_shared<Impl>(io, std::move(tls), std::move(handler));
  auto listener = net::Listener::open(
      io, local, [raw = impl.get()](boost::asio::ip::tcp::socket socket) { raw->accepted(std::move(socket)); });
  if (!listener) return fail(listener.error());
  impl->listener = std::move(*listener);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  impl_->stop();
}

net::Endpoint HttpServer::local() const {
  return impl_->listener->local();
}

}  // namespace trunkline::hubsim
