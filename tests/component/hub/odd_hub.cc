// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hub/odd_hub.h"

#include <proton/connection.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/map.hpp>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <proton/receiver.hpp>
#include <proton/receiver_options.hpp>
#include <proton/scalar.hpp>
#include <proton/sender_options.hpp>
#include <proton/session.hpp>
#include <proton/source.hpp>
#include <proton/source_options.hpp>
#include <proton/target.hpp>
#include <proton/target_options.hpp>
#include <stdexcept>

namespace trunkline::tests {

OddHub::OddHub(boost::asio::io_context& io) {
  tls_ = *net::tls_server_context(identity_.certificate_file(), identity_.key_file());
  auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [this](boost::asio::ip::tcp::socket socket) {
    attempt_ = net::accept_tls(std::move(socket), tls_, std::chrono::seconds(10), [this](auto stream) {
      if (!stream) return;
      amqp::Connection::Options options;
      options.role = amqp::Connection::Role::server;
      options.container_id = "odd";
      connection_ = std::make_unique<amqp::Connection>(std::move(*stream), options, *this, [](amqp::EndReason) {});
      connection_->start();
    });
  });
  if (!listener) throw std::runtime_error(listener.error().message);
  listener_ = std::move(*listener);
}

void OddHub::on_connection_open(proton::connection& connection) {
  connection.open();
  if (silent_after_open) connection_->set_reading(false);
}

void OddHub::on_session_open(proton::session& session) {
  session.open();
}

void OddHub::on_sender_open(proton::sender& sender) {
  const auto address = sender.source().address();
  auto* link = amqp::handle<pn_link_t>(sender);
  if (address != "$cbs" && !answer_device_attach) return;
  attached[address + "/in"] = {sender.properties(), link};
  if (address != "$cbs") {
    commands_ = link;
    pn_link_set_rcv_settle_mode(link, settle_mode);
  } else {
    answers_ = sender;
  }
  sender.open(proton::sender_options().source(proton::source_options().address(address)));
}

void OddHub::on_receiver_open(proton::receiver& receiver) {
  const auto address = receiver.target().address();
  auto* link = amqp::handle<pn_link_t>(receiver);
  if ((address == "$cbs" && refuse_cbs) || address == refuse_sender_at) {
    pn_terminus_set_type(pn_link_target(link), PN_UNSPECIFIED);
    pn_link_open(link);
    receiver.close(proton::error_condition("amqp:unauthorized-access", "no"));
    return;
  }
  if (address != "$cbs" && !answer_device_attach) return;
  attached[address + "/out"] = {receiver.properties(), link};
  receiver.open(proton::receiver_options()
                    .target(proton::target_options().address(address))
                    .credit_window(10)
                    .auto_accept(false));
}

void OddHub::on_message(proton::delivery& delivery, proton::message& message) {
  auto* raw = amqp::handle<pn_delivery_t>(delivery);
  if (delivery.receiver().target().address() != "$cbs") {
    if (keep_telemetry) {
      kept = raw;
      return;
    }
    return reject_telemetry ? amqp::reject(raw, *reject_telemetry) : amqp::accept(raw);
  }
  if (reject_put_token) return amqp::reject(raw, {"amqp:decode-error", "what is this"});
  // The answer first, and then the disposition of the request.
  proton::message answer;
  answer.correlation_id(message.id());
  answer.properties().put("status-code", token_status);
  answer.properties().put("status-description", token_text);
  for (const auto& [name, value] : token_extras) answer.properties().put(name, value);
  answers_.send(answer, proton::binary("a" + std::to_string(++tag_)));
  amqp::accept(raw);
}

void OddHub::send(const std::string& address, const std::string& body) {
  proton::message message;
  message.body(proton::binary(body));
  std::vector<char> bytes;
  message.encode(bytes);
  auto* link = attached.at(address + "/in").link;
  const auto tag = "s" + std::to_string(++tag_);
  auto* delivery = pn_delivery(link, pn_dtag(tag.data(), tag.size()));
  pn_link_send(link, bytes.data(), bytes.size());
  pn_link_advance(link);
  pn_delivery_settle(delivery);
  wake();
}

void OddHub::send_command(const std::string& bytes, bool settled) {
  const auto tag = "c" + std::to_string(++tag_);
  command_ = pn_delivery(commands_, pn_dtag(tag.data(), tag.size()));
  pn_link_send(commands_, bytes.data(), bytes.size());
  pn_link_advance(commands_);
  if (settled) pn_delivery_settle(command_);
  wake();
}

std::uint64_t OddHub::command_state() const {
  return pn_delivery_remote_state(command_);
}

void OddHub::settle_command() {
  pn_delivery_settle(command_);
  command_ = nullptr;
  wake();
}

}  // namespace trunkline::tests
