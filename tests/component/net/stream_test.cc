// SPDX-License-Identifier: Apache-2.0
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/error.hpp>
#include <optional>

#include "tests/component/net/loopback.h"
#include "tests/support/tls_identity.h"

using namespace trunkline;
using namespace trunkline::tests;
using boost::asio::io_context;

namespace {

StreamPair make_pair(io_context& io, bool tls, const TlsIdentity& identity) {
  if (!tls) return connected_pair(io);
  auto client = net::tls_client_context({"", identity.ca_file()});
  auto server = net::tls_server_context(identity.certificate_file(), identity.key_file());
  REQUIRE(client);
  REQUIRE(server);
  return connected_pair(io, *client, *server);
}

struct Reader {
  explicit Reader(net::Stream& stream) : stream_(stream) { read(); }
  void read() {
    stream_.async_read_some(boost::asio::buffer(buffer_), [this](net::error_code e, std::size_t n) {
      bytes.append(buffer_.data(), n);
      if (e) {
        error = e;
      } else {
        read();
      }
    });
  }
  std::string bytes;
  std::optional<net::error_code> error;

 private:
  net::Stream& stream_;
  std::array<char, 4096> buffer_{};
};

}  // namespace

TEST_CASE("a stream carries bytes both ways and ends with eof") {
  const bool tls = GENERATE(false, true);
  INFO("tls " << tls);
  TlsIdentity identity;
  io_context io;
  auto pair = make_pair(io, tls, identity);
  const std::string large(1'000'000, 'x');
  std::size_t written = 0;
  Reader server(*pair.server);
  Reader client(*pair.client);
  pair.client->async_write(boost::asio::buffer(large), [&](net::error_code e, std::size_t n) {
    CHECK_FALSE(e);
    written = n;
  });
  pair.server->async_write(boost::asio::buffer("hello", 5), [](net::error_code, std::size_t) {});
  REQUIRE(run_until(io, [&] { return server.bytes.size() == large.size() && client.bytes.size() == 5; }));
  CHECK(written == large.size());
  CHECK(server.bytes == large);
  CHECK(client.bytes == "hello");

  pair.client->close();
  REQUIRE(run_until(io, [&] { return server.error && client.error; }));
  CHECK(*server.error == boost::asio::error::eof);
  CHECK(*client.error == boost::asio::error::operation_aborted);
}

TEST_CASE("destroying a stream ends its outstanding operations as aborted") {
  const bool tls = GENERATE(false, true);
  TlsIdentity identity;
  io_context io;
  auto pair = make_pair(io, tls, identity);
  std::array<char, 16> buffer{};
  std::optional<net::error_code> read;
  std::optional<net::error_code> write;
  const std::string endless(64'000'000, 'x');
  pair.client->async_read_some(boost::asio::buffer(buffer), [&](net::error_code e, std::size_t) { read = e; });
  pair.client->async_write(boost::asio::buffer(endless), [&](net::error_code e, std::size_t) { write = e; });
  pair.client.reset();
  REQUIRE(run_until(io, [&] { return read && write; }));
  CHECK(*read == boost::asio::error::operation_aborted);
  CHECK(*write == boost::asio::error::operation_aborted);
}

TEST_CASE("a reset reaches the peer as a reset connection") {
  io_context io;
  auto pair = connected_pair(io);
  Reader server(*pair.server);
  pair.client->reset();
  REQUIRE(run_until(io, [&] { return server.error.has_value(); }));
  CHECK(*server.error == boost::asio::error::connection_reset);
}

TEST_CASE("a stream names its peer") {
  io_context io;
  auto pair = connected_pair(io);
  CHECK(pair.client->peer().rfind("127.0.0.1:", 0) == 0);
  const auto peer = pair.server->peer();
  CHECK(net::Endpoint::parse(peer));
  pair.server->close();
  CHECK(pair.server->peer() == peer);
}
