// SPDX-License-Identifier: Apache-2.0
// $cbs: its links, put-token requests and their answers (hub-amqp-protocol.md 3).
#include <proton/disposition.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <proton/annotation_key.hpp>
#include <proton/codec/map.hpp>
#include <proton/connection.hpp>
#include <proton/map.hpp>
#include <proton/message_id.hpp>
#include <proton/receiver_options.hpp>
#include <proton/scalar.hpp>
#include <proton/sender_options.hpp>
#include <proton/source_options.hpp>
#include <proton/symbol.hpp>
#include <proton/target_options.hpp>

#include "gateway/base/log.h"
#include "gateway/hub/epoch.h"
#include "gateway/hub/errors.h"

namespace trunkline::hub {

namespace {

constexpr int kAnswerCredit = 100;

void* to_context(std::uint64_t number) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(number));
}

// A retry hint among an answer's application properties.
std::optional<Milliseconds> asked_by(const proton::message& answer) {
  std::map<std::string, proton::scalar> properties;
  proton::get(answer.properties(), properties);
  std::map<std::string, std::string, std::less<>> hints;
  for (const auto& [key, value] : properties) {
    if (is_retry_key(key)) hints[key] = proton::to_string(value);
  }
  return asked_to_wait(hints);
}

}  // namespace

// A session of its own, so that no device's trouble reaches it.
void HubLink::Epoch::open_cbs(proton::connection& connection) {
  auto session = connection.open_session();
  const std::string node(dialect().token_node);
  cbs_sender_ =
      amqp::handle<pn_link_t>(session.open_sender(node, proton::sender_options().name("cbs-sender-" + name_)));
  cbs_receiver_ = amqp::handle<pn_link_t>(session.open_receiver(
      node, proton::receiver_options().name("cbs-receiver-" + name_).credit_window(kAnswerCredit).auto_accept(false)));
  connection_->wake();
}

void HubLink::Epoch::authorise(DeviceSlot slot, const DeviceId& device, Token token) {
  if (!working()) return;
  if (slot.value >= devices_.size()) devices_.resize(slot.value + 1);
  auto& entry = devices_[slot.value];
  if (!entry) entry = std::make_unique<Device>(slot, device);
  if (!takes_tokens()) {
    boost::asio::post(shared_.io, [this, alive = std::weak_ptr(alive_), slot] {
      if (!alive.expired() && working()) events().on_authorised(slot);
    });
    return;
  }
  entry->token_expires = token.expires;
  put_tokens_.request(slot, std::move(token), shared_.clock.steady());
  write_put_tokens();
}

void HubLink::Epoch::write_put_tokens() {
  const auto now = shared_.clock.steady();
  while (pn_link_credit(cbs_sender_) > 0) {
    const auto request = put_tokens_.next(now);
    if (!request) break;
    message_.clear();
    message_.id(request->message_id);
    message_.to(std::string(dialect().token_node));
    message_.reply_to("cbs");
    message_.properties().put("operation", "put-token");
    message_.properties().put("type", std::string(dialect().token_type));
    message_.properties().put("name", dialect().audience_of(shared_.options.host, find(request->slot)->id));
    message_.body(std::string(request->token.text.reveal()));
    message_.encode(encoded_);
    const auto tag = ++last_tag_;
    auto* delivery = pn_delivery(cbs_sender_, pn_dtag(reinterpret_cast<const char*>(&tag), sizeof tag));
    pn_delivery_set_context(delivery, to_context(request->number));
    pn_link_send(cbs_sender_, encoded_.data(), encoded_.size());
    pn_link_advance(cbs_sender_);
    shared_.put_tokens.add();
    if (!cbs_answered_ && answer_due_ == kNever) answer_due_ = now + shared_.options.handshake_timeout;
    connection_->wake();
  }
  arm(std::min(put_tokens_.deadline(), answer_due_));
}

void HubLink::Epoch::on_put_token_answer(pn_delivery_t* delivery, std::string_view bytes) {
  int status = 0;
  std::string description;
  std::optional<Milliseconds> asked;
  std::optional<DeviceSlot> slot;
  try {
    encoded_.assign(bytes.begin(), bytes.end());
    message_.clear();
    message_.decode(encoded_);
    // Matched in value and type: our ids are strings.
    if (message_.correlation_id().type() == proton::STRING) {
      const auto code = message_.properties().get("status-code");
      status = code.empty() ? 0 : proton::coerce<int>(code);
      const auto text = message_.properties().get("status-description");
      if (text.type() == proton::STRING) description = proton::get<std::string>(text);
      if (status < 200 || status > 299) asked = asked_by(message_);
      slot = put_tokens_.answered(proton::get<std::string>(message_.correlation_id()), shared_.clock.steady());
    }
  } catch (const std::exception& e) {
    log::warning("cbs_answer_unreadable", {{"epoch", number_}, {"error", amqp::printable(e.what())}});
  }
  amqp::accept(delivery);
  cbs_answered();
  if (slot) {
    if (status >= 200 && status <= 299) {
      shared_.route.worked();
      log::debug("device_authorised", {{"device", find(*slot)->id.text()}, {"epoch", number_}});
      events().on_authorised(*slot);
    } else {
      refuse(*slot, token_fault(status, description, asked));
    }
  }
  if (working()) write_put_tokens();
}

// The disposition of a request may come before its answer or after it; only one that means that no answer will come
// says anything.
void HubLink::Epoch::on_put_token_settled(pn_delivery_t* delivery) {
  const auto number = reinterpret_cast<std::uintptr_t>(pn_delivery_get_context(delivery));
  const auto state = pn_delivery_remote_state(delivery);
  const auto condition = amqp::read(pn_disposition_condition(pn_delivery_remote(delivery)));
  pn_delivery_set_context(delivery, nullptr);
  pn_delivery_settle(delivery);
  if (number == 0 || state == PN_ACCEPTED || state == 0) return;
  cbs_answered();
  if (const auto slot = put_tokens_.ended(number, shared_.clock.steady())) refuse(*slot, device_fault(condition));
  if (working()) write_put_tokens();
}

void HubLink::Epoch::cbs_answered() {
  cbs_answered_ = true;
  answer_due_ = kNever;
}

void HubLink::Epoch::refuse(DeviceSlot slot, LinkFault fault) {
  shared_.time.token_refused(fault.description, find(slot)->token_expires, shared_.clock.steady());
  if (fault.kind == LinkFault::Kind::unauthorised) name_the_clock(fault);
  log::warning("device_refused", {{"device", find(slot)->id.text()},
                                  {"kind", to_string(fault.kind)},
                                  {"error", fault.condition},
                                  {"text", fault.description}});
  events().on_refused(slot, std::move(fault));
}

}  // namespace trunkline::hub
