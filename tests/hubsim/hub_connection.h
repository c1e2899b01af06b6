// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/event.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "tests/hubsim/conditions.h"
#include "tests/hubsim/hub.h"
#include "tests/hubsim/pump.h"
#include "tests/hubsim/sasl.h"

namespace trunkline::hubsim {

// One client's connection from the accepted socket on: TLS, SASL or none, then AMQP with $cbs, device links and service
// links. Owned by the Hub and destroyed by it after Hub::finished. One thread.
class HubConnection final : public Pump::Sink {
 public:
  // `listener` counts the addresses that the hub listens on; `mute`: TLS only, not a word of AMQP.
  HubConnection(Hub& hub, std::uint64_t number, std::size_t listener, bool mute, net::asio::ip::tcp::socket socket,
                std::shared_ptr<net::asio::ssl::context> tls);
  ~HubConnection() override;

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const std::string& peer() const { return peer_; }
  [[nodiscard]] std::string container() const;
  [[nodiscard]] const std::string& mechanism() const { return mechanism_; }
  [[nodiscard]] bool secure() const { return stream_ != nullptr || pump_ != nullptr; }  // TLS is there
  [[nodiscard]] bool opened() const { return opened_; }
  [[nodiscard]] std::size_t tokens() const { return grants_.size(); }
  [[nodiscard]] std::size_t identities_ever() const { return identities_ever_.size(); }
  [[nodiscard]] std::size_t max_tokens_outstanding() const { return max_tokens_outstanding_; }
  [[nodiscard]] std::size_t listener() const { return listener_; }
  [[nodiscard]] std::size_t links() const { return links_.size(); }
  [[nodiscard]] bool holds_token_of(const std::string& device) const { return grants_.contains("device:" + device); }

  // Sends what the link's queue has, as far as credit reaches; done after the present work has been written.
  void serve(Link& link);
  void serve_feedback();
  // A notification on the device's twin link; the JSON of the change.
  void send_desired(Link& link, const std::string& notification);
  void detach(Link& link, const amqp::Condition& condition);
  void end_session_of(Link& link, const amqp::Condition& condition);
  void close(const amqp::Condition& condition);
  void redirect(const Hub::Redirect& target);
  void drop(bool with_reset);
  void drop_if_mute();
  // As if every packet were lost until then.
  void blackhole(SteadyTime until);
  void end_blackhole();
  void set_reading(bool reading);
  void settle_held(Link& link);
  // Gives the credit that is due now, or takes it back.
  void refresh_credit(Link& link);
  // Token expiry and delayed answers.
  void tick(SteadyTime now, WallTime wall);
  void expire_tokens(const std::string& device);

 private:
  void on_stream(Result<std::unique_ptr<net::Stream>> stream);
  void read_sasl();
  void on_sasl(std::string_view bytes);
  void start_amqp();
  void fail_handshake(const std::string& why);
  void close_and_wait();

  void on_event(pn_event_t* event) override;
  void on_flushed() override;
  void on_end(const std::string& reason) override;

  void on_open();
  void on_session_open(pn_session_t* session);
  void on_session_close(pn_session_t* session);
  void on_attach(pn_link_t* handle);
  void on_detach(pn_link_t* handle);
  void on_flow(pn_link_t* handle);
  void on_delivery(pn_delivery_t* delivery);

  void accept_link(pn_link_t* handle, const Address& address, std::shared_ptr<Device> device, std::string identity);
  void refuse_link(pn_link_t* handle, const amqp::Condition& condition, const ConditionInfo& info = {});
  bool refused_by_test(pn_link_t* handle, Address::Kind kind, Device& device);
  void forget(Link& link);
  void take_over(Link& link);
  void forget_links(pn_session_t* session);  // nullptr: all

  // A grant that lets its bearer act as the device, or as the service on this path; or nothing.
  const Grant* device_grant(const std::string& device) const;
  const Grant* service_grant(const std::string& path) const;
  void store(Grant grant);
  void token_expired(const std::string& identity);

  void on_put_token(Link& link, pn_delivery_t* delivery, std::string_view payload);
  void answer_token(std::string_view payload);
  void queue_answer(const std::string& correlation_id_raw, int status, std::string_view description,
                    const Faults* faults = nullptr, Milliseconds retry_after = {});
  void send_answers();
  void on_telemetry(Link& link, pn_delivery_t* delivery, std::string_view payload);
  void on_service_command(Link& link, pn_delivery_t* delivery, std::string_view payload);
  void on_outcome(Link& link, pn_delivery_t* delivery);
  void on_twin_request(Link& link, pn_delivery_t* delivery, std::string_view payload);
  void answer_twin(const Message& request, Device& device);
  void on_method_answer(Link& link, pn_delivery_t* delivery, std::string_view payload);
  void silenced(Device& device, Address::Kind kind);
  void send_queued(Link& link);
  void send_commands(Link& link);
  void send_outbox(Link& link);
  void send_methods(Link& link);
  void post(Link& link, std::string payload);
  void send_settled(Link& link, const std::string& payload);
  bool send(Link& link, const std::string& tag, const std::string& payload);

  Hub& hub_;
  std::uint64_t number_;
  std::size_t listener_;
  bool mute_;
  std::string peer_;
  std::unique_ptr<net::ConnectAttempt> handshake_;
  net::asio::steady_timer watchdog_;
  std::unique_ptr<net::Stream> stream_;
  SaslServer sasl_;
  std::string mechanism_;
  std::string plain_identity_;  // of SASL PLAIN: its expiry ends the connection
  std::array<char, 4096> sasl_in_{};
  std::string sasl_out_;
  std::shared_ptr<Pump> pump_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool opened_ = false;

  std::map<std::string, Grant> grants_;
  std::set<std::string> policies_;  // identities of grants that are not one device's
  std::set<std::pair<WallTime, std::string>> expiries_;
  std::unordered_map<pn_link_t*, std::unique_ptr<Link>> links_;
  std::unordered_set<Link*> ready_;
  Link* answer_link_ = nullptr;
  std::multimap<SteadyTime, std::string> answers_;  // by when they may be sent; most at once
  std::unordered_set<std::string> identities_ever_;
  std::size_t max_tokens_outstanding_ = 0;
  SteadyTime blackhole_until_{};
  std::uint32_t last_answer_ = 0;
  std::string payload_;
};

}  // namespace trunkline::hubsim
