// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/raw_client.h"

#include <proton/codec.h>
#include <proton/connection.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sender_options.hpp>
#include <proton/session.hpp>
#include <proton/source_options.hpp>
#include <proton/target_options.hpp>
#include <proton/tracker.hpp>
#include <proton/transport.hpp>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"

namespace trunkline::hubsim {

std::string make_token(const std::string& resource, const std::string& key, std::chrono::seconds life,
                       const std::string& policy) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto se = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now + life).count());
  const auto sr = percent_encode(resource);
  const auto sig = base64_encode(hmac_sha256(base64_decode(key).value(), sr + "\n" + se));
  auto token = "SharedAccessSignature sr=" + sr + "&sig=" + percent_encode(sig) + "&se=" + se;
  if (!policy.empty()) token += "&skn=" + policy;
  return token;
}

RawClient::~RawClient() = default;

bool RawClient::until(const std::function<bool()>& reached, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!reached()) {
    io_.restart();
    if (io_.run_one_until(deadline) == 0 && std::chrono::steady_clock::now() >= deadline) return reached();
  }
  return true;
}

bool RawClient::connect(const std::string& address) {
  const auto tls = net::tls_client_context({hub_.host(), hub_.ca_file()});
  const auto peer = net::Endpoint::parse(address.empty() ? hub_.address() : address);
  if (!tls || !peer) return false;
  bool failed = false;
  attempt_ = net::connect_tls(io_, *peer, *tls, hub_.host(), std::chrono::seconds(10),
                              [this, &failed](Result<std::unique_ptr<net::Stream>> stream) {
                                if (!stream) {
                                  failed = true;
                                  return;
                                }
                                amqp::Connection::Options options;
                                options.container_id = "raw-client";
                                options.virtual_host = hub_.host();
                                options.sasl_anonymous = sasl_;
                                connection_ = std::make_unique<amqp::Connection>(
                                    std::move(*stream), options, *this,
                                    [this](amqp::EndReason reason) { ended = std::move(reason); });
                                connection_->start();
                              });
  return until([this, &failed] { return opened || failed || ended; }) && opened;
}

void RawClient::close() {
  if (!connection_ || ended) return;
  connection_->close(std::chrono::seconds(5));
  until([this] { return ended.has_value(); });
}

int RawClient::put_token(const std::string& token, const proton::message_id& id) {
  if (!links.contains("$cbs")) {
    if (!attach_sender("$cbs").empty() || !attach_receiver("$cbs", 50).empty()) return -1;
  }
  const auto before = incoming.size();
  send_token(token, id);
  if (!wait_incoming(before + 1) || incoming.back().address != "$cbs") return -1;
  const auto& answer = incoming.back().message;
  if (answer.correlation_id() != id) return -1;
  return proton::get<std::int32_t>(answer.properties().get("status-code"));
}

void RawClient::send_token(const std::string& token, const proton::message_id& id) {
  proton::message request;
  request.id(id);
  request.to("$cbs");
  request.reply_to("cbs");
  request.properties().put("operation", "put-token");
  request.properties().put("type", "servicebus.windows.net:sastoken");
  request.properties().put("name", hub_.host());
  request.body(token);
  send_later("$cbs", request);
}

int RawClient::put_device_token(const std::string& device, const std::string& key) {
  return put_token(make_token(hub_.host() + "/devices/" + device, key, std::chrono::hours(1)));
}

std::string RawClient::attach_sender(const std::string& address) {
  const auto name = "s" + std::to_string(names_.size());
  names_[name] = address;
  auto& link = links[address];
  link.open = link.closed = false;
  auto session = connection_->proton().default_session();
  link.sender = session.open_sender(
      address, proton::sender_options().name(name).target(proton::target_options().address(address)).auto_settle(true));
  flush();
  until([&link, this] { return link.closed || (link.open && link.sender.credit() > 0) || ended; });
  return link.closed ? link.condition.name : link.open ? "" : "no answer";
}

std::string RawClient::attach_receiver(const std::string& address, int credit) {
  const auto name = "r" + std::to_string(names_.size());
  names_[name] = address;
  auto& link = links[address];
  link.open = link.closed = false;
  auto session = connection_->proton().default_session();
  link.receiver = session.open_receiver(address, proton::receiver_options()
                                                     .name(name)
                                                     .source(proton::source_options().address(address))
                                                     .auto_accept(false)
                                                     .credit_window(0));
  if (credit > 0) link.receiver.add_credit(static_cast<std::uint32_t>(credit));
  flush();
  // A refusal is an attach with a null terminus and then the detach.
  until([&link, this] { return link.closed || (link.open && !link.null_terminus) || ended; });
  return link.closed ? link.condition.name : link.open ? "" : "no answer";
}

void RawClient::open_device(const std::string& device) {
  auto session = connection_->proton().open_session();
  for (const auto* tail : {"/messages/events", "/twin", "/methods/devicebound"}) {
    const auto address = "/devices/" + device + tail;
    const auto name = "s" + std::to_string(names_.size());
    names_[name] = address;
    links[address].sender = session.open_sender(
        address, proton::sender_options().name(name).target(proton::target_options().address(address)));
  }
  for (const auto* tail : {"/messages/devicebound", "/twin", "/methods/devicebound"}) {
    const auto address = "/devices/" + device + tail;
    const auto name = "r" + std::to_string(names_.size());
    names_[name] = address;
    links[address].receiver = session.open_receiver(
        address,
        proton::receiver_options().name(name).source(proton::source_options().address(address)).auto_accept(false));
  }
  flush();
}

void RawClient::send_later(const std::string& address, const proton::message& message) {
  ++last_tag_;
  links[address].sender.send(message, proton::binary(std::to_string(last_tag_)));
  flush();
}

void RawClient::send_bytes(const std::string& address, const std::string& payload) {
  auto* handle = amqp::handle<pn_link_t>(links[address].sender);
  const auto tag = std::to_string(++last_tag_);
  pn_delivery(handle, pn_dtag(tag.data(), tag.size()));
  pn_link_send(handle, payload.data(), payload.size());
  pn_link_advance(handle);
  flush();
}

std::string RawClient::send(const std::string& address, const proton::message& message) {
  auto& link = links[address];
  const auto before = link.outcomes.size();
  send_later(address, message);
  until([&link, before, this] { return link.outcomes.size() > before || link.closed || ended; });
  return link.outcomes.size() > before ? link.outcomes.back() : link.closed ? "closed " + link.condition.name : "none";
}

bool RawClient::wait_incoming(std::size_t count) {
  return until([this, count] { return incoming.size() >= count || ended; }) && incoming.size() >= count;
}

void RawClient::give_credit(const std::string& address, int credit) {
  links[address].receiver.add_credit(static_cast<std::uint32_t>(credit));
  flush();
}

void RawClient::drain(const std::string& address) {
  drained = false;
  links[address].receiver.drain();
  flush();
}

std::string RawClient::info_of(const proton::error_condition& error) {
  return error.properties().empty() ? std::string() : proton::to_string(error.properties());
}

RawClient::Link* RawClient::by_name(const std::string& name) {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : &links[found->second];
}

void RawClient::on_sender_open(proton::sender& sender) {
  auto* link = by_name(sender.name());
  auto* handle = amqp::handle<pn_link_t>(sender);
  link->null_terminus = pn_terminus_get_type(pn_link_remote_target(handle)) == PN_UNSPECIFIED;
  link->open = true;
  ++attached;
}

void RawClient::on_receiver_open(proton::receiver& receiver) {
  auto* link = by_name(receiver.name());
  auto* handle = amqp::handle<pn_link_t>(receiver);
  link->null_terminus = pn_terminus_get_type(pn_link_remote_source(handle)) == PN_UNSPECIFIED;
  link->open = true;
  ++attached;
}

void RawClient::on_sender_close(proton::sender& sender) {
  auto* link = by_name(sender.name());
  link->condition = {sender.error().name(), sender.error().description()};
  link->info = info_of(sender.error());
  link->closed = true;
  sender.close();
}

void RawClient::on_receiver_close(proton::receiver& receiver) {
  auto* link = by_name(receiver.name());
  link->condition = {receiver.error().name(), receiver.error().description()};
  link->info = info_of(receiver.error());
  link->closed = true;
  receiver.close();
}

void RawClient::on_message(proton::delivery& delivery, proton::message& message) {
  Incoming entry;
  entry.address = names_[delivery.receiver().name()];
  entry.message = message;
  entry.delivery = amqp::handle<pn_delivery_t>(delivery);
  const auto tag = pn_delivery_tag(entry.delivery);
  entry.tag.assign(tag.start, tag.size);
  if (entry.address == "$cbs") {
    order.emplace_back("answer");
    delivery.accept();
    delivery.receiver().add_credit(1);
  }
  incoming.push_back(std::move(entry));
}

void RawClient::on_tracker_settle(proton::tracker& tracker) {
  auto* delivery = amqp::handle<pn_delivery_t>(tracker);
  auto* link = by_name(tracker.sender().name());
  switch (pn_delivery_remote_state(delivery)) {
    case PN_ACCEPTED:
      link->outcomes.emplace_back("accepted");
      break;
    case PN_REJECTED:
      link->outcome_info.resize(500);
      if (auto length = link->outcome_info.size();
          pn_data_format(pn_condition_info(pn_disposition_condition(pn_delivery_remote(delivery))),
                         link->outcome_info.data(), &length) == 0) {
        link->outcome_info.resize(length);
      }
      link->outcomes.push_back("rejected " + amqp::read(pn_disposition_condition(pn_delivery_remote(delivery))).name);
      break;
    case PN_RELEASED:
      link->outcomes.emplace_back("released");
      break;
    case PN_MODIFIED:
      link->outcomes.emplace_back("modified");
      break;
    default:
      link->outcomes.emplace_back("settled");
      break;
  }
  if (link == &links["$cbs"]) order.emplace_back("settled");
}

}  // namespace trunkline::hubsim
