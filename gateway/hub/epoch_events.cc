// SPDX-License-Identifier: Apache-2.0
// Proton's events, and what they mean for one device or for all.
#include <proton/disposition.h>

#include <proton/connection.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>

#include "gateway/amqp/engine.h"
#include "gateway/base/log.h"
#include "gateway/hub/epoch.h"
#include "gateway/hub/errors.h"

namespace trunkline::hub {

using amqp::handle;

void HubLink::Epoch::on_connection_open(proton::connection& connection) {
  if (dying_ || closing_) return;
  if (takes_tokens()) return open_cbs(connection);
  check_ready();
}

void HubLink::Epoch::on_sender_open(proton::sender& sender) {
  auto* link = handle<pn_link_t>(sender);
  on_link_open(link, pn_link_remote_target(link));
}

void HubLink::Epoch::on_receiver_open(proton::receiver& receiver) {
  auto* link = handle<pn_link_t>(receiver);
  on_link_open(link, pn_link_remote_source(link));
}

void HubLink::Epoch::on_link_open(pn_link_t* link, pn_terminus_t* far) {
  if (dying_) return;
  // A refusal comes as an attach without a terminus, and a detach that says why (hub-amqp-protocol.md 9.1).
  if (pn_terminus_get_type(far) == PN_UNSPECIFIED) return;
  if (link == cbs_sender_) {
    cbs_sender_open_ = true;
  } else if (link == cbs_receiver_) {
    cbs_receiver_open_ = true;
  } else if (auto* channel = channel_of(link)) {
    if (--channel->unanswered > 0) return;
    channel->attached = true;
    events().on_attached(channel->device->slot, channel->which);
    return;
  }
  check_ready();
}

void HubLink::Epoch::on_sendable(proton::sender& sender) {
  if (dying_) return;
  auto* link = handle<pn_link_t>(sender);
  if (link == cbs_sender_) {
    if (working()) write_put_tokens();
  } else if (auto* channel = channel_of(link)) {
    offer_sendable(*channel);
  }
}

// The hub's verdict on something that we sent: first news wins, because then we settle.
void HubLink::Epoch::on_update(pn_delivery_t* delivery) {
  auto* context = pn_delivery_get_context(delivery);
  if (dying_ || context == nullptr) return;
  if (pn_delivery_link(delivery) == cbs_sender_) return on_put_token_settled(delivery);
  auto* remote = pn_delivery_remote(delivery);
  Outcome outcome = Outcome::released("settled without an outcome");
  switch (pn_delivery_remote_state(delivery)) {
    case PN_ACCEPTED:
      outcome = Outcome::accepted();
      break;
    case PN_REJECTED:
      outcome = rejection(amqp::read(pn_disposition_condition(remote)));
      break;
    case PN_RELEASED:
      outcome = Outcome::released();
      break;
    case PN_MODIFIED:
      outcome = Outcome{.kind = Outcome::Kind::modified, .undeliverable_here = pn_disposition_is_undeliverable(remote)};
      break;
    default:
      // Received and its like are no outcome, and neither is silence; the settlement is (AMQP 1.0 section 3.4).
      if (!pn_delivery_settled(delivery)) return;
      break;
  }
  const auto sent = in_flight_.take(context);
  pn_delivery_settle(delivery);
  auto& channel = *sent.channel;
  events().on_outcome(channel.device->slot, sent.position, std::move(outcome));
  if (!dying_) offer_sendable(channel);
}

void HubLink::Epoch::on_bytes(pn_delivery_t* delivery, std::string_view bytes) {
  if (dying_) return;
  auto* link = pn_delivery_link(delivery);
  if (link == cbs_receiver_) return on_put_token_answer(delivery, bytes);
  const auto* channel = channel_of(link);
  if (channel == nullptr) return amqp::release(delivery);  // of a link that we gave up
  if (channel->which == DeviceLink::commands) return on_command(*channel->device, delivery, bytes);
  // It comes settled, or the hub waits for this (hub-amqp-protocol.md 4.4).
  amqp::accept(delivery);
  on_pair(*channel, bytes);
}

// The hub forgets a command: it confirms our outcome (it asked for that with settle mode second), or its lock ended.
void HubLink::Epoch::on_delivery_settle(proton::delivery& delivery) {
  auto* raw = handle<pn_delivery_t>(delivery);
  // What comes settled in several frames is told with each of them.
  if (pn_delivery_partial(raw)) return;
  held_.erase(reinterpret_cast<std::uintptr_t>(pn_delivery_get_context(raw)));
  pn_delivery_set_context(raw, nullptr);
  pn_delivery_settle(raw);
}

void HubLink::Epoch::on_sender_close(proton::sender& sender) {
  on_link_end(handle<pn_link_t>(sender));
}
void HubLink::Epoch::on_sender_detach(proton::sender& sender) {
  on_link_end(handle<pn_link_t>(sender));
}
void HubLink::Epoch::on_receiver_close(proton::receiver& receiver) {
  on_link_end(handle<pn_link_t>(receiver));
}
void HubLink::Epoch::on_receiver_detach(proton::receiver& receiver) {
  on_link_end(handle<pn_link_t>(receiver));
}

void HubLink::Epoch::on_link_end(pn_link_t* link) {
  const auto condition = amqp::read(pn_link_remote_condition(link));
  pn_link_close(link);
  if (dying_ || closing_) return;
  if (link == cbs_sender_ || link == cbs_receiver_) return fail(connection_fault(condition));
  auto* channel = channel_of(link);
  if (channel != nullptr) give_up(*channel);
  amqp::free_link(link);
  if (channel != nullptr) detached(*channel->device, channel->which, device_fault(condition));
}

void HubLink::Epoch::on_session_close(proton::session& session) {
  auto* raw = handle<pn_session_t>(session);
  const auto condition = amqp::read(pn_session_remote_condition(raw));
  if (dying_ || closing_) return;
  if (cbs_sender_ != nullptr && raw == pn_link_session(cbs_sender_)) return fail(connection_fault(condition));
  auto* device = static_cast<Device*>(pn_session_get_context(raw));
  std::vector<DeviceLink> ended;
  if (device != nullptr) {
    for (auto& channel : device->channels) {
      if (!channel.exists()) continue;
      give_up(channel);
      ended.push_back(channel.which);
    }
    device->session.reset();
  }
  pn_session_close(raw);
  amqp::free_session(raw);
  for (const auto which : ended) detached(*device, which, device_fault(condition));
}

// Links, sessions and the connection have handlers of their own above; this keeps Proton's default, which throws, away.
void HubLink::Epoch::on_error(const proton::error_condition& error) {
  log::debug("amqp_error", {{"epoch", number_}, {"error", amqp::printable(error.what())}});
}

}  // namespace trunkline::hub
