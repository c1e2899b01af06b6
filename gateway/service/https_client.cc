// SPDX-License-Identifier: Apache-2.0
#include "gateway/service/https_client.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http.hpp>
#include <memory>
#include <optional>
#include <sstream>

#include "gateway/net/connect.h"

namespace trunkline::service {
namespace {

namespace http = boost::beast::http;

constexpr std::uint64_t kMaxBody = 16ULL * 1024 * 1024;

std::string to_text(const HttpsPeer& peer, const HttpsRequest& request) {
  http::request<http::string_body> out;
  out.method_string({request.method.data(), request.method.size()});
  out.target(request.target);
  out.version(11);
  out.set(http::field::host, peer.host);
  out.set(http::field::user_agent, "trunkline/" TRUNKLINE_VERSION);
  out.set(http::field::connection, "close");
  const auto authorization = request.authorization.reveal();
  if (!authorization.empty()) {
    out.set(http::field::authorization, boost::core::string_view(authorization.data(), authorization.size()));
  }
  if (request.any_etag) out.set(http::field::if_match, "*");
  if (!request.body.empty()) out.set(http::field::content_type, "application/json; charset=utf-8");
  out.body() = request.body;
  out.prepare_payload();
  std::ostringstream text;
  text << out;
  return std::move(text).str();
}

// One exchange on one stream.
class Exchange {
 public:
  Exchange(const HttpsPeer& peer, const HttpsRequest& request) : limit_(io_), request_(to_text(peer, request)) {
    parser_.body_limit(kMaxBody);
  }

  Result<HttpsAnswer> run(const HttpsPeer& peer, Milliseconds limit) {
    auto context = net::tls_client_context({peer.host, peer.ca_file});
    if (!context) return fail(context.error());
    limit_.expires_after(limit);
    limit_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled) end(Error{ErrorCode::timed_out, "the hub did not answer in time"});
    });
    const auto attempt = net::connect_tls(io_, peer.address, *context, peer.host, limit,
                                          [this](Result<std::unique_ptr<net::Stream>> stream) {
                                            if (!stream) return end(stream.error());
                                            stream_ = std::move(*stream);
                                            write();
                                          });
    io_.run();
    if (error_) return fail(*error_);
    return HttpsAnswer{parser_.get().result_int(), std::move(parser_.get().body())};
  }

 private:
  void write() {
    stream_->async_write(boost::asio::buffer(request_), [this](net::error_code error, std::size_t) {
      if (error) return end(Error{ErrorCode::unavailable, error.message()});
      read();
    });
  }
  void read() {
    stream_->async_read_some(boost::asio::buffer(buffer_), [this](net::error_code error, std::size_t size) {
      net::error_code wrong;
      if (error == boost::asio::error::eof) {
        parser_.put_eof(wrong);
      } else if (error) {
        return end(Error{ErrorCode::unavailable, error.message()});
      } else {
        pending_.append(buffer_.data(), size);
        parse(wrong);
      }
      if (wrong) return end(Error{ErrorCode::unavailable, "the answer is no HTTP: " + wrong.message()});
      if (parser_.is_done()) return end(std::nullopt);
      if (error) return end(Error{ErrorCode::unavailable, "the answer is cut off"});
      read();
    });
  }
  void parse(net::error_code& wrong) {
    std::size_t used = 0;
    do {
      used = parser_.put(boost::asio::buffer(pending_), wrong);
      pending_.erase(0, used);
      if (wrong == http::error::need_more) {
        wrong = {};
        return;
      }
    } while (!wrong && used > 0 && !pending_.empty() && !parser_.is_done());
  }
  void end(std::optional<Error> error) {
    error_ = std::move(error);
    if (stream_) stream_->close();
    limit_.cancel();
    io_.stop();
  }

  boost::asio::io_context io_{1};
  boost::asio::steady_timer limit_;
  const std::string request_;
  std::unique_ptr<net::Stream> stream_;
  std::array<char, 16'384> buffer_{};
  std::string pending_;
  http::response_parser<http::string_body> parser_;
  std::optional<Error> error_;
};

}  // namespace

Result<HttpsAnswer> https(const HttpsPeer& peer, const HttpsRequest& request, Milliseconds limit) {
  return Exchange(peer, request).run(peer, limit);
}

}  // namespace trunkline::service
