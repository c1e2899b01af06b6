// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/net/endpoint.h"

namespace trunkline::hubsim {

struct HttpRequest {
  std::string method;
  std::string target;  // path and query as they were sent
  std::string authorization;
  std::string if_match;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;  // JSON
  std::vector<std::pair<std::string, std::string>> headers;
};

// HTTPS 1.1 with keep-alive, as little as the service SDKs need. Bodies up to 1 MiB, heads up to 16 KiB, 256
// connections, a minute for a request to come. On the io_context's thread. The handler answers each request once, at
// once or later; after the server is destroyed its answers go nowhere. Malformed requests are answered 400 and closed.
class HttpServer {
 public:
  using Reply = std::function<void(HttpResponse)>;
  using Handler = std::function<void(const HttpRequest&, Reply)>;
  // Fails with the address and the reason if it cannot listen.
  static Result<std::unique_ptr<HttpServer>> open(boost::asio::io_context& io, const net::Endpoint& local,
                                                  std::shared_ptr<boost::asio::ssl::context> tls, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  [[nodiscard]] net::Endpoint local() const;

 private:
  class Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace trunkline::hubsim
