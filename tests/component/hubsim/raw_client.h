// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <proton/annotation_key.hpp>
#include <proton/connection.hpp>
#include <proton/error_condition.hpp>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver.hpp>
#include <proton/sender.hpp>
#include <proton/types.hpp>
#include <string>
#include <vector>

#include "gateway/amqp/connection.h"
#include "gateway/amqp/engine.h"
#include "gateway/net/connect.h"
#include "tests/hubsim/hub_server.h"

namespace trunkline::hubsim {

// A token as an SDK would make it; `key` base64, `policy` empty for a device key.
std::string make_token(const std::string& resource, const std::string& key, std::chrono::seconds life,
                       const std::string& policy = {});

// A client that does one thing at a time and waits for it on the test's own thread: every wait runs the loop until the
// condition holds or ten seconds are over.
class RawClient : public proton::messaging_handler {
 public:
  struct Link {
    proton::sender sender;
    proton::receiver receiver;
    bool open = false;
    bool closed = false;
    bool null_terminus = false;
    amqp::Condition condition;
    std::string info;                   // of the condition, as Proton writes a map
    std::string outcome_info;           // of the last rejection
    std::vector<std::string> outcomes;  // of what was sent: "accepted", "rejected amqp:...", "released", "modified"
  };
  struct Incoming {
    std::string address;
    proton::message message;
    pn_delivery_t* delivery = nullptr;
    std::string tag;
  };

  RawClient(HubServer& hub, bool sasl) : hub_(hub), sasl_(sasl) {}
  ~RawClient() override;

  bool connect(const std::string& address = {});  // the hub's first one if none is given
  bool until(const std::function<bool()>& reached, std::chrono::milliseconds limit = std::chrono::seconds(10));
  // The status of the answer; -1 if none comes. The message-id may be of any type.
  int put_token(const std::string& token, const proton::message_id& id = proton::message_id(std::string("id-1")));
  // Without waiting for the answer.
  void send_token(const std::string& token, const proton::message_id& id);
  int put_device_token(const std::string& device, const std::string& key);
  // Empty if attached, else the condition of the refusal.
  std::string attach_sender(const std::string& address);
  std::string attach_receiver(const std::string& address, int credit);
  // A session with the six links of a device, without waiting for any of them.
  void open_device(const std::string& device);
  // The outcome.
  std::string send(const std::string& address, const proton::message& message);
  void send_later(const std::string& address, const proton::message& message);
  void send_bytes(const std::string& address, const std::string& payload);
  bool wait_incoming(std::size_t count);
  void give_credit(const std::string& address, int credit);
  void drain(const std::string& address);
  // Something was done to an engine object from outside.
  void flush() { connection_->wake(); }
  void close();

  std::map<std::string, Link> links;  // by address
  std::vector<Incoming> incoming;
  std::vector<std::string> order;  // "settled" and "answer" of $cbs as they came
  std::optional<amqp::EndReason> ended;
  std::string ended_info;
  bool opened = false;
  bool session_ended = false;
  std::size_t attached = 0;
  bool drained = false;

 private:
  void on_connection_open(proton::connection&) override { opened = true; }
  void on_sender_open(proton::sender& sender) override;
  void on_receiver_open(proton::receiver& receiver) override;
  void on_sender_close(proton::sender& sender) override;
  void on_receiver_close(proton::receiver& receiver) override;
  void on_session_close(proton::session&) override { session_ended = true; }
  void on_session_error(proton::session&) override {}
  void on_sender_error(proton::sender&) override {}
  void on_receiver_error(proton::receiver&) override {}
  void on_connection_error(proton::connection& connection) override { ended_info = info_of(connection.error()); }
  void on_transport_error(proton::transport&) override {}
  void on_error(const proton::error_condition&) override {}
  void on_message(proton::delivery& delivery, proton::message& message) override;
  void on_tracker_settle(proton::tracker& tracker) override;
  void on_receiver_drain_finish(proton::receiver&) override { drained = true; }
  Link* by_name(const std::string& name);
  static std::string info_of(const proton::error_condition& error);

  HubServer& hub_;
  bool sasl_;
  boost::asio::io_context io_;
  std::unique_ptr<net::ConnectAttempt> attempt_;
  std::unique_ptr<amqp::Connection> connection_;
  std::map<std::string, std::string> names_;  // link name to address
  std::uint64_t last_tag_ = 0;
};

}  // namespace trunkline::hubsim
