// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/hub_connection.h"

#include <proton/connection.h>
#include <proton/transport.h>

#include <vector>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/log.h"

namespace trunkline::hubsim {
namespace {

// hub-amqp-protocol section 1.3. Proton advertises half of the idle timeout, which it enforces.
constexpr pn_millis_t kIdleTimeoutMs = 240'000;
constexpr std::uint16_t kChannelMax = 8'191;
constexpr std::chrono::seconds kCloseLimit{5};

}  // namespace

HubConnection::HubConnection(Hub& hub, std::uint64_t number, std::size_t listener, bool mute,
                             net::asio::ip::tcp::socket socket, std::shared_ptr<net::asio::ssl::context> tls)
    : hub_(hub),
      number_(number),
      listener_(listener),
      mute_(mute),
      watchdog_(hub.io()),
      sasl_([this](std::string_view user, std::string_view password) {
        auto grant = hub_.directory().check_plain(user, password, hub_.wall());
        if (!grant) return false;
        plain_identity_ = grant->identity;
        store(std::move(*grant));
        return true;
      }) {
  net::error_code ignored;
  const auto remote = socket.remote_endpoint(ignored);
  peer_ = remote.address().to_string() + ":" + std::to_string(remote.port());
  handshake_ = net::accept_tls(std::move(socket), std::move(tls), hub.limits().handshake,
                               [this](Result<std::unique_ptr<net::Stream>> stream) { on_stream(std::move(stream)); });
}

HubConnection::~HubConnection() {
  *alive_ = false;
  forget_links(nullptr);
  if (pump_) {
    pump_->forget_sink();
    pump_->abort("hub stopped", false);
  }
}

std::string HubConnection::container() const {
  const auto* name = pump_ ? pn_connection_remote_container(pump_->connection()) : nullptr;
  return name == nullptr ? std::string() : std::string(name).substr(0, 256);
}

void HubConnection::on_stream(Result<std::unique_ptr<net::Stream>> stream) {
  if (!stream) return fail_handshake(stream.error().message);
  stream_ = std::move(*stream);
  if (mute_) return;
  watchdog_.expires_after(hub_.limits().handshake);
  watchdog_.async_wait([this, alive = std::weak_ptr(alive_)](net::error_code error) {
    if (error || !alive.lock() || opened_) return;
    fail_handshake("no AMQP open in time");
  });
  read_sasl();
}

void HubConnection::read_sasl() {
  stream_->async_read_some(net::asio::buffer(sasl_in_),
                           [this, alive = std::weak_ptr(alive_)](net::error_code error, std::size_t count) {
                             if (!alive.lock() || !stream_) return;
                             if (error) return fail_handshake(error.message());
                             on_sasl({sasl_in_.data(), count});
                           });
}

void HubConnection::on_sasl(std::string_view bytes) {
  sasl_out_.clear();
  const auto state = sasl_.feed(bytes, sasl_out_);
  const auto proceed = [this, state] {
    if (state == SaslServer::State::waiting) return read_sasl();
    if (state == SaslServer::State::accepted) return start_amqp();
    fail_handshake("SASL refused");
  };
  if (sasl_out_.empty()) return proceed();
  stream_->async_write(net::asio::buffer(sasl_out_),
                       [this, alive = std::weak_ptr(alive_), proceed](net::error_code error, std::size_t) {
                         if (!alive.lock() || !stream_) return;
                         if (error) return fail_handshake(error.message());
                         proceed();
                       });
}

void HubConnection::start_amqp() {
  mechanism_ = sasl_.mechanism();
  pump_ = std::make_shared<Pump>(std::move(stream_), sasl_.take_rest(), *this);
  auto* transport = pump_->transport();
  pn_transport_set_idle_timeout(transport, kIdleTimeoutMs);
  pn_transport_set_max_frame(transport, kMaxFrameBytes);
  pn_transport_set_channel_max(transport, kChannelMax);
  pump_->start();
}

void HubConnection::fail_handshake(const std::string& why) {
  log::info("handshake_failed", {{"peer", peer_}, {"error", why}});
  drop(false);
}

void HubConnection::drop(bool with_reset) {
  if (pump_) return pump_->abort("dropped", with_reset);
  if (stream_ && with_reset) stream_->reset();
  stream_.reset();
  handshake_.reset();
  hub_.finished(number_);
}

void HubConnection::close(const amqp::Condition& condition) {
  if (!pump_) return drop(false);
  amqp::write(pn_connection_condition(pump_->connection()), condition);
  close_and_wait();
}

void HubConnection::close_and_wait() {
  pn_connection_close(pump_->connection());
  forget_links(nullptr);
  pump_->wake();
  watchdog_.expires_after(kCloseLimit);
  watchdog_.async_wait([this, alive = std::weak_ptr(alive_)](net::error_code error) {
    if (!error && alive.lock()) drop(false);
  });
}

void HubConnection::drop_if_mute() {
  if (mute_) drop(false);
}

void HubConnection::redirect(const Hub::Redirect& target) {
  if (!pump_) return drop(false);
  auto* condition = pn_connection_condition(pump_->connection());
  amqp::write(condition, {"amqp:connection:redirect", "The hub is elsewhere"});
  write_info(condition, {{"hostname", target.hostname}, {"network-host", target.network_host}, {"port", target.port}});
  ++hub_.counters.redirects;
  close_and_wait();
}

void HubConnection::set_reading(bool reading) {
  if (pump_) pump_->set_reading(reading);
}

void HubConnection::blackhole(SteadyTime until) {
  if (!pump_) return;
  blackhole_until_ = until;
  pump_->set_blackhole(true);
  hub_.arm(until);
}

void HubConnection::end_blackhole() {
  blackhole_until_ = {};
  if (pump_) pump_->set_blackhole(false);
}

void HubConnection::on_end(const std::string& reason) {
  log::debug("connection_ended", {{"peer", peer_}, {"error", reason}});
  opened_ = false;
  forget_links(nullptr);
  hub_.finished(number_);
}

void HubConnection::on_event(pn_event_t* event) {
  switch (pn_event_type(event)) {
    case PN_CONNECTION_REMOTE_OPEN:
      on_open();
      break;
    case PN_CONNECTION_REMOTE_CLOSE:
      forget_links(nullptr);
      pn_connection_close(pump_->connection());
      break;
    case PN_SESSION_REMOTE_OPEN:
      on_session_open(pn_event_session(event));
      break;
    case PN_SESSION_REMOTE_CLOSE:
      on_session_close(pn_event_session(event));
      break;
    case PN_LINK_REMOTE_OPEN:
      on_attach(pn_event_link(event));
      break;
    case PN_LINK_REMOTE_CLOSE:
    case PN_LINK_REMOTE_DETACH:
      on_detach(pn_event_link(event));
      break;
    case PN_LINK_FLOW:
      on_flow(pn_event_link(event));
      break;
    case PN_DELIVERY:
      on_delivery(pn_event_delivery(event));
      break;
    default:
      break;
  }
}

void HubConnection::on_flushed() {
  send_answers();
  // A link that cannot send all it has is served again after its next flow or settlement, or when the output is gone.
  const std::vector<Link*> ready(ready_.begin(), ready_.end());
  ready_.clear();
  for (auto* link : ready) send_queued(*link);
  hub_.log().flush();
}

void HubConnection::on_open() {
  auto* connection = pump_->connection();
  pn_connection_set_container(connection, ("DeviceGateway_" + hex_encode(random_bytes(16))).c_str());
  pn_connection_set_hostname(connection, "localhost");
  pn_connection_open(connection);
  opened_ = true;
  watchdog_.cancel();
  hub_.changed();
  if (!hub_.redirect || listener_ != 0) return;
  const auto target = *hub_.redirect;
  if (--hub_.redirect->left == 0) hub_.redirect.reset();
  redirect(target);
}

}  // namespace trunkline::hubsim
