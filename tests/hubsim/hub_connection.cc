// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/hub_connection.h"

#include <proton/connection.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <vector>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/log.h"

namespace trunkline::hubsim {
namespace {

// hub-amqp-protocol section 1.3. Proton advertises half of the idle timeout, which it enforces.
constexpr pn_millis_t kIdleTimeoutMs = 240'000;
constexpr std::uint32_t kMaxFrame = 65'536;
constexpr std::uint16_t kChannelMax = 8'191;
constexpr std::size_t kIncomingWindowFrames = 5'000;
constexpr std::chrono::seconds kCloseLimit{5};

}  // namespace

HubConnection::HubConnection(Hub& hub, std::uint64_t number, net::asio::ip::tcp::socket socket,
                             std::shared_ptr<net::asio::ssl::context> tls)
    : hub_(hub), number_(number), watchdog_(hub.io()), sasl_([this](std::string_view user, std::string_view password) {
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
  pn_transport_set_max_frame(transport, kMaxFrame);
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
  pn_connection_close(pump_->connection());
  forget_links(nullptr);
  pump_->wake();
  watchdog_.expires_after(kCloseLimit);
  watchdog_.async_wait([this, alive = std::weak_ptr(alive_)](net::error_code error) {
    if (!error && alive.lock()) drop(false);
  });
}

void HubConnection::set_reading(bool reading) {
  if (pump_) pump_->set_reading(reading);
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
}

void HubConnection::on_session_open(pn_session_t* session) {
  pn_session_set_incoming_capacity(session, kIncomingWindowFrames * kMaxFrame);
  pn_session_open(session);
}

void HubConnection::on_session_close(pn_session_t* session) {
  forget_links(session);
  pn_session_close(session);
  amqp::free_session(session);
}

void HubConnection::on_attach(pn_link_t* handle) {
  const bool hub_sends = pn_link_is_sender(handle);
  auto* terminus = hub_sends ? pn_link_remote_source(handle) : pn_link_remote_target(handle);
  const auto* text = pn_terminus_get_address(terminus);
  const auto address = Address::parse(text == nullptr ? "" : text);
  using Kind = Address::Kind;
  const auto refuse = [this, handle](std::string condition, int code, std::string_view message) {
    auto description = R"({"errorCode":)" + std::to_string(code) + R"(,"trackingId":")" + random_uuid() +
                       R"(","message":")" + std::string(message) + R"(","timestampUtc":")" + to_rfc3339(hub_.wall()) +
                       R"("})";
    refuse_link(handle, {std::move(condition), std::move(description)});
  };
  switch (address.kind) {
    case Kind::cbs:
      return accept_link(handle, address, nullptr, {});
    case Kind::service_commands:
    case Kind::service_feedback: {
      if ((address.kind == Kind::service_feedback) != hub_sends) break;
      const auto* grant = grant_for(hub_sends ? "/messages/serviceBound/feedback" : "/messages/devicebound", true);
      if (grant == nullptr) return refuse("amqp:unauthorized-access", 401002, "Unauthorized");
      return accept_link(handle, address, nullptr, grant->identity);
    }
    case Kind::telemetry:
    case Kind::commands:
      if ((address.kind == Kind::commands) != hub_sends) break;
      [[fallthrough]];
    case Kind::twin:
    case Kind::methods: {
      auto device = hub_.device(address);
      if (!device || !address.module.empty() || !hub_.directory().enabled(device->id)) {
        return refuse("amqp:not-found", 404001, "Device not found");
      }
      const auto* grant = grant_for("/devices/" + device->id, false);
      if (grant == nullptr) return refuse("amqp:unauthorized-access", 401002, "Unauthorized");
      return accept_link(handle, address, std::move(device), grant->identity);
    }
    case Kind::unknown:
      break;
  }
  refuse("amqp:not-found", 404006, "No such address");
}

void HubConnection::accept_link(pn_link_t* handle, const Address& address, std::shared_ptr<Device> device,
                                std::string identity) {
  using Kind = Address::Kind;
  auto link = std::make_unique<Link>();
  auto& added = *link;
  added.id = hub_.next_link_id();
  added.connection = this;
  added.handle = handle;
  added.kind = address.kind;
  added.hub_sends = pn_link_is_sender(handle);
  added.device = std::move(device);
  added.identity = std::move(identity);
  links_[handle] = std::move(link);
  pn_link_set_context(handle, &added);

  pn_terminus_copy(pn_link_source(handle), pn_link_remote_source(handle));
  pn_terminus_copy(pn_link_target(handle), pn_link_remote_target(handle));
  // Section 4.4: what the live hub answers, whatever was asked.
  const bool settled = added.kind == Kind::twin || added.kind == Kind::methods;
  const bool commands = added.kind == Kind::commands || added.kind == Kind::service_feedback;
  pn_link_set_snd_settle_mode(handle, settled ? PN_SND_SETTLED : commands ? PN_SND_MIXED : PN_SND_UNSETTLED);
  pn_link_set_rcv_settle_mode(handle, commands ? PN_RCV_SECOND : PN_RCV_FIRST);
  pn_link_set_max_message_size(handle, commands ? pn_link_remote_max_message_size(handle) : kMaxMessageBytes);
  pn_link_open(handle);

  if (added.kind == Kind::cbs && added.hub_sends) answer_link_ = &added;
  if (added.device) {
    ++added.device->attaches;
    added.device->links.push_back(&added);
    if (added.kind == Kind::commands) take_over(added);
  }
  if (!added.hub_sends) refresh_credit(added);
  hub_.changed();
}

void HubConnection::take_over(Link& link) {
  auto* older = std::exchange(link.device->command_link, &link);
  if (older != nullptr) {
    older->connection->detach(*older, {"amqp:internal-error", "Another AMQP Client has opened a Receive Link"});
  }
  serve(link);
}

void HubConnection::refuse_link(pn_link_t* handle, const amqp::Condition& condition) {
  pn_link_set_context(handle, nullptr);
  pn_terminus_set_type(pn_link_source(handle), PN_UNSPECIFIED);
  pn_terminus_set_type(pn_link_target(handle), PN_UNSPECIFIED);
  pn_link_open(handle);
  amqp::write(pn_link_condition(handle), condition);
  pn_link_close(handle);
}

void HubConnection::on_detach(pn_link_t* handle) {
  if (auto* link = static_cast<Link*>(pn_link_get_context(handle))) forget(*link);
  pn_link_close(handle);
  amqp::free_link(handle);
}

void HubConnection::detach(Link& link, const amqp::Condition& condition) {
  amqp::write(pn_link_condition(link.handle), condition);
  pn_link_close(link.handle);
  forget(link);
  pump_->wake();
}

void HubConnection::end_session_of(Link& link, const amqp::Condition& condition) {
  auto* session = pn_link_session(link.handle);
  amqp::write(pn_session_condition(session), condition);
  pn_session_close(session);
  forget_links(session);
  pump_->wake();
}

void HubConnection::forget(Link& link) {
  ready_.erase(&link);
  if (answer_link_ == &link) answer_link_ = nullptr;
  pn_link_set_context(link.handle, nullptr);
  const auto device = link.device;
  const auto id = link.id;
  const auto kind = link.kind;
  if (device) {
    std::erase(device->links, &link);
    if (device->command_link == &link) device->command_link = nullptr;
  }
  links_.erase(link.handle);
  if (kind == Address::Kind::commands) {
    device->queue.give_back(id);
    hub_.queue_changed(*device);
  } else if (kind == Address::Kind::service_feedback) {
    hub_.feedback_queue().give_back(id);
    hub_.feedback_changed();
  }
  hub_.changed();
}

void HubConnection::forget_links(pn_session_t* session) {
  std::vector<Link*> gone;
  for (const auto& [handle, link] : links_) {
    if (session == nullptr || pn_link_session(handle) == session) gone.push_back(link.get());
  }
  for (auto* link : gone) forget(*link);
}

}  // namespace trunkline::hubsim
