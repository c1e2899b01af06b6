// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "gateway/net/connect.h"
#include "tests/support/catch.h"

namespace trunkline::tests {

// Runs the loop until `done` or until the deadline; answers done().
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& done,
                      std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    io.restart();
    if (io.run_one_until(deadline) == 0 && std::chrono::steady_clock::now() >= deadline) return done();
  }
  return true;
}

struct StreamPair {
  std::unique_ptr<net::Stream> client;
  std::unique_ptr<net::Stream> server;
};

// Two ends of one loopback connection; with contexts, of one TLS connection.
inline StreamPair connected_pair(boost::asio::io_context& io,
                                 const std::shared_ptr<boost::asio::ssl::context>& client_tls = nullptr,
                                 const std::shared_ptr<boost::asio::ssl::context>& server_tls = nullptr,
                                 const std::string& name = "127.0.0.1") {
  StreamPair pair;
  std::unique_ptr<net::ConnectAttempt> accepting;
  auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [&](boost::asio::ip::tcp::socket socket) {
    if (!server_tls) {
      pair.server = net::tcp_stream(std::move(socket));
      return;
    }
    accepting = net::accept_tls(std::move(socket), server_tls, std::chrono::seconds(10),
                                [&](Result<std::unique_ptr<net::Stream>> stream) {
                                  if (stream) pair.server = std::move(*stream);
                                });
  });
  REQUIRE(listener);
  const auto take = [&](Result<std::unique_ptr<net::Stream>> stream) {
    if (stream) pair.client = std::move(*stream);
  };
  const auto address = (*listener)->local();
  auto connecting = client_tls ? net::connect_tls(io, address, client_tls, name, std::chrono::seconds(10), take)
                               : net::connect_tcp(io, address, std::chrono::seconds(10), take);
  REQUIRE(run_until(io, [&] { return pair.client && pair.server; }));
  return pair;
}

}  // namespace trunkline::tests
