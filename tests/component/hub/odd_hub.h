// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <proton/messaging_handler.hpp>
#include <proton/scalar.hpp>
#include <proton/sender.hpp>
#include <proton/symbol.hpp>
#include <proton/value.hpp>
#include <string>

#include "gateway/amqp/connection.h"
#include "gateway/amqp/engine.h"
#include "gateway/net/connect.h"
#include "tests/support/tls_identity.h"

namespace trunkline::tests {

// A hub for what the simulator, which keeps the rules, does not do. Serves one connection on the test's own loop; every
// token is good.
class OddHub final : public proton::messaging_handler {
 public:
  explicit OddHub(boost::asio::io_context& io);

  [[nodiscard]] net::Endpoint address() const { return listener_->local(); }
  [[nodiscard]] std::string ca_file() const { return identity_.ca_file(); }
  // Puts bytes as they are on the device's command link.
  void send_command(const std::string& bytes, bool settled = false);
  void wake() { connection_->wake(); }
  // The outcome of the last command, 0 while there is none.
  [[nodiscard]] std::uint64_t command_state() const;
  [[nodiscard]] bool command_settled() const { return pn_delivery_settled(command_); }
  void settle_command();

  // What a client attached, by "address/out" or "address/in" as the client sees it.
  struct Attached {
    std::map<proton::symbol, proton::value> properties;
    pn_link_t* link = nullptr;
  };
  std::map<std::string, Attached> attached;
  // Puts a message with that body on a link that the hub sends on.
  void send(const std::string& address, const std::string& body);

  bool refuse_cbs = false;
  std::string refuse_sender_at;  // refuses the hub's side of that client's sender
  bool answer_device_attach = true;
  bool reject_put_token = false;
  std::optional<amqp::Condition> reject_telemetry;
  bool keep_telemetry = false;  // the delivery is the test's to settle
  pn_delivery_t* kept = nullptr;
  std::int32_t token_status = 200;
  std::string token_text = "OK";
  std::map<std::string, proton::scalar> token_extras;  // further properties of put-token answers
  bool silent_after_open = false;
  pn_rcv_settle_mode_t settle_mode = PN_RCV_FIRST;

  void on_connection_open(proton::connection& connection) override;
  void on_session_open(proton::session& session) override;
  void on_sender_open(proton::sender& sender) override;
  void on_receiver_open(proton::receiver& receiver) override;
  void on_message(proton::delivery& delivery, proton::message& message) override;
  void on_error(const proton::error_condition&) override {}

 private:
  TlsIdentity identity_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  std::unique_ptr<net::ConnectAttempt> attempt_;
  std::unique_ptr<amqp::Connection> connection_;
  std::unique_ptr<net::Listener> listener_;
  proton::sender answers_;
  pn_link_t* commands_ = nullptr;
  pn_delivery_t* command_ = nullptr;
  std::uint64_t tag_ = 0;
};

}  // namespace trunkline::tests
