// SPDX-License-Identifier: Apache-2.0
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "tests/component/net/loopback.h"
#include "tests/support/tls_identity.h"

using namespace trunkline;
using namespace trunkline::tests;
using boost::asio::io_context;
using boost::asio::ip::tcp;

namespace {

using Answer = std::optional<Result<std::unique_ptr<net::Stream>>>;

// Answers TLS handshakes on a free port.
struct TlsServer {
  TlsServer(io_context& io, const TlsIdentity& identity) {
    context = *net::tls_server_context(identity.certificate_file(), identity.key_file());
    auto opened = net::Listener::open(io, {"127.0.0.1", 0}, [this](tcp::socket socket) {
      attempts.push_back(net::accept_tls(std::move(socket), context, std::chrono::seconds(10), [this](auto stream) {
        if (stream) streams.push_back(std::move(*stream));
      }));
    });
    REQUIRE(opened);
    listener = std::move(*opened);
  }
  std::shared_ptr<boost::asio::ssl::context> context;
  std::vector<std::unique_ptr<net::ConnectAttempt>> attempts;
  std::vector<std::unique_ptr<net::Stream>> streams;
  std::unique_ptr<net::Listener> listener;
};

Answer connect(io_context& io, const net::Endpoint& peer, const std::string& ca_file, const std::string& name) {
  auto context = net::tls_client_context({name, ca_file});
  REQUIRE(context);
  Answer answer;
  auto attempt = net::connect_tls(io, peer, *context, name, std::chrono::seconds(10),
                                  [&](auto stream) { answer.emplace(std::move(stream)); });
  REQUIRE_FALSE(answer);
  REQUIRE(run_until(io, [&] { return answer.has_value(); }));
  return answer;
}

}  // namespace

TEST_CASE("a TLS peer must carry the name that was asked for") {
  io_context io;
  TlsIdentity identity("hub.example.net");
  TlsServer server(io, identity);
  const auto local = server.listener->local();

  CHECK((*connect(io, local, identity.ca_file(), "hub.example.net")).has_value());

  const auto other = connect(io, local, identity.ca_file(), "other.example.net");
  REQUIRE_FALSE(*other);
  CHECK(other->error().code == ErrorCode::denied);
  CHECK(other->error().message.find("ostname mismatch") != std::string::npos);

  const auto address = connect(io, local, identity.ca_file(), "127.0.0.1");
  REQUIRE_FALSE(*address);
  CHECK(address->error().code == ErrorCode::denied);
}

TEST_CASE("a TLS peer of an unknown authority is refused") {
  io_context io;
  TlsIdentity identity;
  TlsIdentity stranger;
  TlsServer server(io, identity);
  const auto answer = connect(io, server.listener->local(), stranger.ca_file(), "127.0.0.1");
  REQUIRE_FALSE(*answer);
  CHECK(answer->error().code == ErrorCode::denied);
}

TEST_CASE("TLS older than 1.2 is refused") {
  io_context io;
  TlsIdentity identity;
  TlsServer server(io, identity);
  auto old = *net::tls_client_context({"", identity.ca_file()});
  SSL_CTX_set_min_proto_version(old->native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(old->native_handle(), TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(old->native_handle(), "ALL:@SECLEVEL=0");
  Answer answer;
  auto attempt = net::connect_tls(io, server.listener->local(), old, "127.0.0.1", std::chrono::seconds(10),
                                  [&](auto stream) { answer.emplace(std::move(stream)); });
  REQUIRE(run_until(io, [&] { return answer.has_value(); }));
  CHECK_FALSE(*answer);
}

TEST_CASE("a peer that accepts and says nothing ends the attempt at its limit") {
  io_context io;
  std::vector<tcp::socket> sockets;
  auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [&](tcp::socket s) { sockets.push_back(std::move(s)); });
  REQUIRE(listener);
  TlsIdentity identity;
  Answer answer;
  auto attempt =
      net::connect_tls(io, (*listener)->local(), *net::tls_client_context({"", identity.ca_file()}), "127.0.0.1",
                       std::chrono::milliseconds(50), [&](auto stream) { answer.emplace(std::move(stream)); });
  REQUIRE(run_until(io, [&] { return answer.has_value(); }));
  REQUIRE_FALSE(*answer);
  CHECK((*answer).error().code == ErrorCode::timed_out);
}

TEST_CASE("a port that nobody listens on is an error that names the peer") {
  io_context io;
  net::Endpoint closed;
  {
    auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [](tcp::socket) {});
    REQUIRE(listener);
    closed = (*listener)->local();
  }
  Answer answer;
  auto attempt =
      net::connect_tcp(io, closed, std::chrono::seconds(5), [&](auto stream) { answer.emplace(std::move(stream)); });
  REQUIRE(run_until(io, [&] { return answer.has_value(); }));
  REQUIRE_FALSE(*answer);
  CHECK((*answer).error().code == ErrorCode::unavailable);
  CHECK((*answer).error().message.find(closed.text()) != std::string::npos);
}

TEST_CASE("a cancelled attempt never calls its handler") {
  io_context io;
  auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [](tcp::socket) {});
  REQUIRE(listener);
  bool called = false;
  auto attempt = net::connect_tcp(io, (*listener)->local(), std::chrono::seconds(5), [&](auto) { called = true; });
  attempt.reset();
  listener->reset();
  io.restart();
  io.run();  // ends when nothing is outstanding
  CHECK_FALSE(called);
}

TEST_CASE("a name is resolved and each of its addresses tried") {
  io_context io;
  auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [](tcp::socket) {});
  REQUIRE(listener);
  Answer answer;
  auto attempt = net::connect_tcp(io, {"localhost", (*listener)->local().port}, std::chrono::seconds(10),
                                  [&](auto stream) { answer.emplace(std::move(stream)); });
  REQUIRE(run_until(io, [&] { return answer.has_value(); }));
  CHECK(*answer);
}

TEST_CASE("listening on a taken port fails with the address") {
  io_context io;
  auto first = net::Listener::open(io, {"127.0.0.1", 0}, [](tcp::socket) {});
  REQUIRE(first);
  const auto second = net::Listener::open(io, (*first)->local(), [](tcp::socket) {});
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find((*first)->local().text()) != std::string::npos);
}

TEST_CASE("a listener without descriptors accepts again when there are some") {
  io_context io;
  std::vector<tcp::socket> accepted;
  auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [&](tcp::socket s) { accepted.push_back(std::move(s)); });
  REQUIRE(listener);
  tcp::socket client(io);
  client.open(tcp::v4());
  std::vector<int> hoard;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit low = before;
  low.rlim_cur = 64;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) hoard.push_back(fd);
  client.connect({boost::asio::ip::make_address("127.0.0.1"), (*listener)->local().port});
  run_until(
      io, [&] { return !accepted.empty(); }, std::chrono::milliseconds(150));
  CHECK(accepted.empty());
  for (const int fd : hoard) ::close(fd);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(run_until(io, [&] { return !accepted.empty(); }));
}

TEST_CASE("an unreadable CA, certificate or key is named") {
  TlsIdentity identity;
  const auto ca = net::tls_client_context({"", "/nowhere/ca.pem"});
  REQUIRE_FALSE(ca);
  CHECK(ca.error().message.find("/nowhere/ca.pem") != std::string::npos);
  const auto key = net::tls_server_context(identity.certificate_file(), "/nowhere/key.pem");
  REQUIRE_FALSE(key);
  CHECK(key.error().message.find("/nowhere/key.pem") != std::string::npos);
}
