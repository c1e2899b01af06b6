// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <boost/asio/write.hpp>

#include "tests/component/amqp/peer.h"

using namespace trunkline;
using namespace trunkline::tests;
using boost::asio::io_context;

namespace {

// Both ends after their opens.
void open_both(io_context& io, PeerPair& pair) {
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened && pair.server.opened; }));
}

void write_bytes(net::Stream& stream, const std::string& bytes) {
  stream.async_write(boost::asio::buffer(bytes), [](net::error_code, std::size_t) {});
}

}  // namespace

TEST_CASE("a close with a condition reaches the other side as its reason") {
  io_context io;
  PeerPair pair(io);
  open_both(io, pair);
  pair.server.connection->proton().close(proton::error_condition("amqp:connection:forced", "go away"));
  pair.server.connection->wake();
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1 && pair.server.ends == 1; }));
  CHECK(pair.client.end.condition == "amqp:connection:forced");
  CHECK(pair.client.end.description == "go away");
  CHECK(pair.server.end.condition.empty());
}

TEST_CASE("a peer that vanishes ends the connection") {
  io_context io;
  PeerPair pair(io);
  open_both(io, pair);
  SECTION("by an abort") {
    pair.server.connection->abort({"trunkline:test", "enough"});
  }
  SECTION("by a reset") {
    pair.server.connection->reset();
  }
  SECTION("by being destroyed") {
    pair.server.connection.reset();
  }
  CHECK(pair.client.ends == 0);
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1; }));
  CHECK(pair.client.end.condition == "trunkline:io");
  CHECK_FALSE(pair.client.end.description.empty());
}

TEST_CASE("an abort ends at once with the reason that was given") {
  io_context io;
  PeerPair pair(io);
  open_both(io, pair);
  pair.client.connection->abort({"trunkline:test", "enough"});
  CHECK(pair.client.ends == 0);  // never from within the call
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1; }));
  CHECK(pair.client.end.condition == "trunkline:test");
}

TEST_CASE("a peer that does not answer a close is left after the limit") {
  io_context io;
  PeerPair pair(io);
  open_both(io, pair);
  pair.server.connection->set_reading(false);
  pair.client.connection->close(std::chrono::milliseconds(50));
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1; }));
  CHECK(pair.client.end.condition == "trunkline:watchdog");
}

TEST_CASE("the owner may destroy the connection when it ends") {
  io_context io;
  PeerPair pair(io);
  int ends = 0;
  std::unique_ptr<amqp::Connection> client;
  client = std::make_unique<amqp::Connection>(std::move(pair.client_stream), pair.client.options, pair.client,
                                              [&](amqp::EndReason) {
                                                ++ends;
                                                client.reset();
                                              });
  client->start();
  pair.server_stream->reset();
  REQUIRE(run_until(io, [&] { return ends == 1; }));
  io.restart();
  io.poll();
  CHECK(ends == 1);
}

TEST_CASE("garbage ends only the connection that it arrived on") {
  io_context io;
  const std::string header("AMQP\0\1\0\0", 8);
  const auto garbage = GENERATE_COPY(std::string("GET / HTTP/1.1\r\n\r\n"), header + std::string(64, '\xFF'),
                                     header + std::string("\0\0\0\1\2\0\0\0", 8), std::string(8, '\0'));
  PeerPair pair(io);
  pair.server.start(std::move(pair.server_stream));
  write_bytes(*pair.client_stream, garbage);
  REQUIRE(run_until(io, [&] { return pair.server.ends == 1; }));
  CHECK_FALSE(pair.server.end.condition.empty());
  CHECK(pair.server.end.description.size() <= amqp::kMaxConditionText);
  for (const char c : pair.server.end.description) CHECK(static_cast<unsigned char>(c) >= 0x20);
}

TEST_CASE("an empty transfer, which makes Proton throw, ends only its own connection") {
  io_context io;
  PeerPair other(io);
  open_both(io, other);
  PeerPair pair(io);
  open_both(io, pair);
  auto sender = pair.client.connection->proton().open_sender("somewhere");
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return sender.credit() > 0; }));
  auto* link = amqp::handle<pn_link_t>(sender);
  pn_delivery(link, pn_dtag("1", 1));
  pn_link_advance(link);
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return pair.server.ends == 1 && pair.client.ends == 1; }));
  CHECK_FALSE(pair.server.end.condition.empty());
  CHECK(pair.server.bodies.empty());

  auto working = other.client.connection->proton().open_sender("somewhere");
  other.client.connection->wake();
  REQUIRE(run_until(io, [&] { return working.credit() > 0; }));
  CHECK(other.server.ends == 0);
}

TEST_CASE("keepalives hold a connection on which nothing else happens") {
  io_context io;
  PeerPair pair(io);
  pair.client.options.idle_timeout = std::chrono::milliseconds(200);
  pair.server.options.idle_timeout = std::chrono::milliseconds(200);
  open_both(io, pair);
  run_until(
      io, [&] { return pair.client.ends + pair.server.ends > 0; }, std::chrono::milliseconds(700));
  CHECK(pair.client.ends == 0);
  CHECK(pair.server.ends == 0);
}

TEST_CASE("a peer that falls silent is left after the idle timeout") {
  io_context io;
  PeerPair pair(io);
  pair.client.options.idle_timeout = std::chrono::milliseconds(100);
  pair.client.options.sasl_anonymous = false;
  pair.client.start(std::move(pair.client_stream));
  // The header, and an open with container-id "srv" and nothing else (AMQP 1.0 section 2.7.1).
  const std::string open(
      "\x00\x53\x10\xC0\x06\x01\xA1\x03"
      "srv",
      11);
  const std::string bytes = std::string("AMQP\0\1\0\0", 8) + std::string("\0\0\0\x13\2\0\0\0", 8) + open;
  write_bytes(*pair.server_stream, bytes);
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1; }));
  CHECK(pair.client.opened);
  CHECK(pair.client.end.condition == "amqp:resource-limit-exceeded");
  CHECK(pair.client.end.description.find("idle") != std::string::npos);
}
