// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/message.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sender.hpp>
#include <proton/session.hpp>
#include <proton/source_options.hpp>
#include <proton/target_options.hpp>
#include <proton/tracker.hpp>
#include <proton/transport.hpp>
#include <set>
#include <string>
#include <vector>

#include "gateway/amqp/connection.h"
#include "gateway/amqp/engine.h"
#include "tests/component/net/loopback.h"

namespace trunkline::tests {

// One end of an AMQP connection that writes down what happens to it.
class Peer : public proton::messaging_handler {
 public:
  explicit Peer(amqp::Connection::Role role) { options.role = role; }

  void start(std::unique_ptr<net::Stream> stream) {
    connection = std::make_unique<amqp::Connection>(std::move(stream), options, *this, [this](amqp::EndReason reason) {
      ++ends;
      end = std::move(reason);
    });
    connection->start();
  }

  void on_connection_open(proton::connection& c) override {
    if (c.uninitialized()) c.open();
    opened = true;
  }
  void on_session_open(proton::session& s) override {
    if (s.uninitialized()) s.open();
  }
  void on_receiver_open(proton::receiver& r) override {
    if (r.uninitialized()) r.open(proton::receiver_options().credit_window(0).auto_accept(false));
    r.add_credit(1000);
    ++receivers;
  }
  void on_sender_open(proton::sender& s) override {
    if (s.uninitialized()) s.open();
    ++senders;
  }
  void on_message(proton::delivery& d, proton::message& m) override {
    bodies.push_back(proton::get<std::string>(m.body()));
    auto* delivery = amqp::handle<pn_delivery_t>(d);
    if (bodies.back() == "refuse me") {
      amqp::reject(delivery, {"amqp:not-allowed", "as you wish"});
    } else {
      amqp::accept(delivery);
    }
  }
  void on_tracker_settle(proton::tracker& t) override {
    states.push_back(pn_delivery_remote_state(amqp::handle<pn_delivery_t>(t)));
    reasons.push_back(amqp::read(pn_disposition_condition(pn_delivery_remote(amqp::handle<pn_delivery_t>(t)))));
  }
  void on_sender_error(proton::sender& s) override { link_errors.push_back(s.error().name()); }
  void on_connection_error(proton::connection&) override {}
  void on_transport_error(proton::transport&) override {}
  void on_error(const proton::error_condition& error) override { errors.push_back(error.what()); }

  amqp::Connection::Options options;
  std::unique_ptr<amqp::Connection> connection;
  bool opened = false;
  int receivers = 0;
  int senders = 0;
  int ends = 0;
  amqp::EndReason end;
  std::vector<std::string> bodies;
  std::vector<std::uint64_t> states;
  std::vector<amqp::Condition> reasons;
  std::vector<std::string> link_errors;
  std::vector<std::string> errors;
};

// A client and a server over loopback TCP.
struct PeerPair {
  explicit PeerPair(boost::asio::io_context& io) : PeerPair(connected_pair(io)) {}
  explicit PeerPair(StreamPair streams) {
    client.options.container_id = "client";
    client.options.virtual_host = "hub.example.net";
    server.options.container_id = "server";
    client_stream = std::move(streams.client);
    server_stream = std::move(streams.server);
  }
  void start() {
    server.start(std::move(server_stream));
    client.start(std::move(client_stream));
  }
  Peer client{amqp::Connection::Role::client};
  Peer server{amqp::Connection::Role::server};
  std::unique_ptr<net::Stream> client_stream;
  std::unique_ptr<net::Stream> server_stream;
};

inline void send(proton::sender& sender, const std::string& body, std::uint64_t tag) {
  sender.send(proton::message(body), proton::binary(std::to_string(tag)));
}

}  // namespace trunkline::tests
