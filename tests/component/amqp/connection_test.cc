// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/connection.h"

#include <proton/connection.h>
#include <proton/transport.h>

#include <algorithm>

#include "tests/component/amqp/peer.h"
#include "tests/support/tls_identity.h"

using namespace trunkline;
using namespace trunkline::tests;
using boost::asio::io_context;

TEST_CASE("two connections over TLS carry messages and every outcome") {
  TlsIdentity identity;
  io_context io;
  PeerPair pair(connected_pair(io, *net::tls_client_context({"", identity.ca_file()}),
                               *net::tls_server_context(identity.certificate_file(), identity.key_file())));
  pair.client.options.sasl_anonymous = GENERATE(false, true);
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened && pair.server.opened; }));
  CHECK(pair.server.connection->proton().virtual_host() == "hub.example.net");
  CHECK(pair.server.connection->proton().container_id() == "client");
  auto* transport = pn_connection_transport(amqp::handle<pn_connection_t>(pair.server.connection->proton()));
  CHECK(pn_transport_remote_channel_max(transport) == 8'191);
  CHECK(pn_transport_get_remote_max_frame(transport) == 65'536);
  CHECK(pn_transport_get_remote_idle_timeout(transport) == 60'000);

  auto sender = pair.client.connection->proton().open_sender("somewhere");
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return sender.credit() > 0; }));
  send(sender, "take me", 1);
  send(sender, "refuse me", 2);
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return pair.client.states.size() == 2; }));
  CHECK(pair.server.bodies == std::vector<std::string>{"take me", "refuse me"});
  CHECK(std::multiset<std::uint64_t>(pair.client.states.begin(), pair.client.states.end()) ==
        std::multiset<std::uint64_t>{PN_ACCEPTED, PN_REJECTED});
  const auto rejected = pair.client.states[0] == PN_REJECTED ? 0U : 1U;
  CHECK(pair.client.reasons[rejected].name == "amqp:not-allowed");
  CHECK(pair.client.reasons[rejected].description == "as you wish");

  pair.client.connection->close(std::chrono::seconds(10));
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1 && pair.server.ends == 1; }));
  CHECK(pair.client.end.condition.empty());
  CHECK(pair.server.end.condition.empty());
  CHECK(pair.client.errors.empty());
  CHECK(pair.server.errors.empty());
}

TEST_CASE("bytes that were read before are parsed first") {
  io_context io;
  auto pair = connected_pair(io);
  Peer server(amqp::Connection::Role::server);
  // The header, and an open with container-id "early" and nothing else (AMQP 1.0 section 2.7.1).
  const std::string open(
      "\x00\x53\x10\xC0\x08\x01\xA1\x05"
      "early",
      13);
  server.options.initial_bytes = std::string("AMQP\0\1\0\0", 8) + std::string("\0\0\0\x15\2\0\0\0", 8) + open;
  server.start(std::move(pair.server));
  REQUIRE(run_until(io, [&] { return server.opened; }));
  CHECK(server.connection->proton().container_id() == "early");
}

TEST_CASE("a thousand links attach and each carries a message") {
  io_context io;
  PeerPair pair(io);
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened; }));
  std::vector<proton::sender> senders;
  for (int i = 0; i < 1000; ++i) {
    auto session = pair.client.connection->proton().open_session();
    senders.push_back(session.open_sender("device " + std::to_string(i)));
  }
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return pair.client.senders == 1000; }));
  REQUIRE(run_until(io, [&] {
    return std::all_of(senders.begin(), senders.end(), [](auto& sender) { return sender.credit() > 0; });
  }));
  std::uint64_t tag = 0;
  for (auto& sender : senders) {
    ++tag;
    send(sender, std::to_string(tag), tag);
  }
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return pair.client.states.size() == senders.size(); }));
  CHECK(std::set<std::string>(pair.server.bodies.begin(), pair.server.bodies.end()).size() == senders.size());
}

TEST_CASE("a connection whose reading is stopped hears nothing until it reads again") {
  io_context io;
  PeerPair pair(io);
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened && pair.server.opened; }));
  pair.server.connection->set_reading(false);
  auto sender = pair.client.connection->proton().open_sender("somewhere");
  pair.client.connection->wake();
  run_until(
      io, [&] { return pair.server.receivers > 0; }, std::chrono::milliseconds(50));
  CHECK(pair.server.receivers == 0);
  pair.server.connection->set_reading(true);
  CHECK(run_until(io, [&] { return pair.server.receivers == 1; }));
}

TEST_CASE("links and sessions that are closed on both sides can be freed") {
  io_context io;
  PeerPair pair(io);
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened; }));
  for (int round = 0; round < 3; ++round) {
    auto session = pair.client.connection->proton().open_session();
    auto sender = session.open_sender("somewhere");
    pair.client.connection->wake();
    REQUIRE(run_until(io, [&] { return sender.credit() > 0; }));
    send(sender, "unsettled", 1);  // a delivery that dies with its link
    sender.close();
    pair.client.connection->wake();
    REQUIRE(run_until(io, [&] { return sender.closed(); }));
    amqp::free_link(amqp::handle<pn_link_t>(sender));
    session.close();
    pair.client.connection->wake();
    REQUIRE(run_until(io, [&] { return session.closed(); }));
    amqp::free_session(amqp::handle<pn_session_t>(session));
    pair.client.connection->wake();
  }
  CHECK(pn_session_head(amqp::handle<pn_connection_t>(pair.client.connection->proton()), 0) == nullptr);
}

TEST_CASE("deliveries can be taken as bytes, before anything decodes them") {
  io_context io;
  PeerPair pair(io);
  std::vector<std::string> bytes;
  pair.server.options.on_bytes = [&](pn_delivery_t* delivery, std::string_view received) {
    bytes.emplace_back(received);
    amqp::accept(delivery);
  };
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened; }));
  auto sender = pair.client.connection->proton().open_sender("somewhere");
  auto other = pair.client.connection->proton().open_sender("elsewhere");
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return sender.credit() > 0 && other.credit() > 0; }));
  std::uint64_t tag = 0;
  const auto send_bytes = [&](proton::sender& to, const std::string& what) {
    auto* link = amqp::handle<pn_link_t>(to);
    const auto name = std::to_string(++tag);
    pn_delivery(link, pn_dtag(name.data(), name.size()));
    pn_link_send(link, what.data(), what.size());
    pn_link_advance(link);
  };
  const std::string large(300'000, '\xFF');
  send_bytes(sender, "no AMQP message");
  send_bytes(sender, "");
  send_bytes(sender, large);
  send_bytes(other, "other");
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return bytes.size() == 4 && pair.client.states.size() == 4; }));
  CHECK(std::multiset<std::string>(bytes.begin(), bytes.end()) ==
        std::multiset<std::string>{"no AMQP message", "", large, "other"});
  CHECK(pair.server.ends == 0);

  SECTION("and one that is too large ends the connection") {
    pair.server.errors.clear();
    send_bytes(sender, std::string(5'000'000, 'x'));
    pair.client.connection->wake();
    REQUIRE(run_until(io, [&] { return pair.server.ends == 1; }));
    CHECK(bytes.size() == 4);
  }
}

TEST_CASE("updates of what was sent can be taken once each, before the handler hears of them") {
  io_context io;
  PeerPair pair(io);
  std::vector<std::uint64_t> updates;
  pair.client.options.on_update = [&](pn_delivery_t* delivery) {
    updates.push_back(pn_delivery_remote_state(delivery));
    pn_delivery_settle(delivery);
  };
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened; }));
  auto sender = pair.client.connection->proton().open_sender("somewhere");
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return sender.credit() > 0; }));
  for (std::uint64_t tag = 1; tag <= 50; ++tag) send(sender, tag % 10 == 0 ? "refuse me" : "take me", tag);
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return updates.size() >= 50; }));
  // Other events come through as ever.
  sender.close();
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return sender.closed(); }));
  CHECK(updates.size() == 50);
  CHECK(std::count(updates.begin(), updates.end(), PN_REJECTED) == 5);
  CHECK(pair.client.states.empty());
  CHECK(pn_link_unsettled(amqp::handle<pn_link_t>(sender)) == 0);
}

TEST_CASE("a callee of updates that throws ends its connection and nothing else") {
  io_context io;
  PeerPair pair(io);
  pair.client.options.on_update = [](pn_delivery_t*) { throw std::runtime_error("as you wish"); };
  pair.start();
  REQUIRE(run_until(io, [&] { return pair.client.opened; }));
  auto sender = pair.client.connection->proton().open_sender("somewhere");
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return sender.credit() > 0; }));
  send(sender, "take me", 1);
  pair.client.connection->wake();
  REQUIRE(run_until(io, [&] { return pair.client.ends == 1; }));
  CHECK(pair.client.end.condition == "exception");
  CHECK(pair.client.end.description.find("as you wish") != std::string::npos);
}
