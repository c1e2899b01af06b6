// SPDX-License-Identifier: Apache-2.0
// A device's AMQP session and links: attach, telemetry out, commands in.
#include <proton/disposition.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <map>
#include <proton/connection.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sender_options.hpp>
#include <proton/source_options.hpp>
#include <proton/symbol.hpp>
#include <proton/target_options.hpp>
#include <proton/value.hpp>

#include "gateway/amqp/engine.h"
#include "gateway/base/log.h"
#include "gateway/hub/dialect.h"
#include "gateway/hub/epoch.h"
#include "gateway/hub/errors.h"

namespace trunkline::hub {

namespace {

// Before the hub's lock of 60 s ends (C-01).
constexpr Milliseconds kCommandTime{45'000};
// Proton says that a link may send again once it has written for it, but nothing when a session's window reopens.
constexpr Milliseconds kBlockedRetry{20};

std::map<proton::symbol, proton::value> attach_properties() {
  return {{kClientVersionKey, client_version()}, {kApiVersionKey, std::string(kApiVersion)}};
}

std::uint64_t terminal_state(pn_delivery_t* delivery, const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::accepted:
      return PN_ACCEPTED;
    case Outcome::Kind::rejected:
      amqp::write(pn_disposition_condition(pn_delivery_local(delivery)), {outcome.condition, outcome.description});
      return PN_REJECTED;
    case Outcome::Kind::released:
      return PN_RELEASED;
    case Outcome::Kind::modified:  // the hub knows no such outcome (hub-amqp-protocol.md 6.2)
      return outcome.undeliverable_here ? PN_REJECTED : PN_RELEASED;
  }
  return PN_RELEASED;
}

// With settle mode second the outcome is final only when the hub settles, and so do we (gotcha 21).
void conclude(pn_delivery_t* delivery, const Outcome& outcome) {
  pn_delivery_update(delivery, terminal_state(delivery, outcome));
  const bool second = pn_link_remote_rcv_settle_mode(pn_delivery_link(delivery)) == PN_RCV_SECOND;
  if (!second || pn_delivery_settled(delivery)) pn_delivery_settle(delivery);
}

}  // namespace

void HubLink::Epoch::attach(DeviceSlot slot, DeviceLink which) {
  auto* device = find(slot);
  if (!working() || device == nullptr || device->side(which).link != nullptr) return;
  if (!device->session) {
    device->session = connection_->proton().open_session();
    pn_session_set_context(amqp::handle<pn_session_t>(*device->session), device);
  }
  auto& side = device->side(which);
  const auto address = node_address(which, device->id);
  // The name is for a person who reads a trace; the numbers make it unique over all connections.
  const auto name =
      device->id.text() + "-" + std::string(to_string(which)) + "-" + name_ + "-" + std::to_string(++last_link_);
  side.serial = last_link_;
  if (which == DeviceLink::telemetry) {
    side.link = amqp::handle<pn_link_t>(
        device->session->open_sender(address, proton::sender_options().name(name).properties(attach_properties())));
  } else {
    side.link = amqp::handle<pn_link_t>(device->session->open_receiver(
        address,
        proton::receiver_options().name(name).properties(attach_properties()).credit_window(0).auto_accept(false)));
  }
  pn_link_set_context(side.link, &side);
  attaching_.push_back({shared_.clock.steady() + shared_.options.put_token_timeout, slot, which, side.serial});
  arm(attaching_.front().deadline);
  connection_->wake();
}

void HubLink::Epoch::detach(DeviceSlot slot) {
  put_tokens_.cancel(slot);
  auto* device = find(slot);
  if (device == nullptr || !device->session) return;
  give_up(device->telemetry);
  give_up(device->commands);
  pn_session_set_context(amqp::handle<pn_session_t>(*device->session), nullptr);
  device->session->close();  // freed when the hub has ended it too
  device->session.reset();
  connection_->wake();
}

// Forgets the link and everything that travels on it. It is closed, but freed only when the hub has closed it too.
void HubLink::Epoch::give_up(Side& side) {
  if (side.link == nullptr) return;
  forget_deliveries(side.link);
  pn_link_set_context(side.link, nullptr);
  pn_link_close(side.link);
  side.link = nullptr;
  side.attached = false;
  side.starved = false;
}

void HubLink::Epoch::forget_deliveries(pn_link_t* link) {
  const bool sends = pn_link_is_sender(link);
  for (auto* d = pn_unsettled_head(link); d != nullptr; d = pn_unsettled_next(d)) {
    auto* context = pn_delivery_get_context(d);
    if (context == nullptr) continue;
    if (sends) {
      in_flight_.take(context);
    } else {
      held_.erase(reinterpret_cast<std::uintptr_t>(context));
    }
    pn_delivery_set_context(d, nullptr);
  }
}

void HubLink::Epoch::detached(const Device& device, DeviceLink which, LinkFault fault) {
  const auto level = fault.kind == LinkFault::Kind::protocol ? log::Level::error : log::Level::warning;
  log::write(level, "device_detached",
             {{"device", device.id.text()},
              {"link", to_string(which)},
              {"kind", to_string(fault.kind)},
              {"error", fault.condition},
              {"text", fault.description}});
  events().on_detached(device.slot, which, std::move(fault));
}

Uplink::SendResult HubLink::Epoch::send(DeviceSlot slot, const MessagePtr& message) {
  auto* device = find(slot);
  if (!working() || device == nullptr || !device->telemetry.attached) return SendResult::detached;
  auto& side = device->telemetry;
  if (!may_send(side)) {
    side.starved = true;
    if (pn_link_credit(side.link) <= 0) return SendResult::no_credit;
    if (!side.by_bytes) {
      side.by_bytes = true;
      blocked_.push_back(slot);
      arm(shared_.clock.steady() + kBlockedRetry);
    }
    return SendResult::blocked;
  }
  const auto bytes = shared_.encoder.encode(*message);
  if (!bytes) {
    // Intake refuses what is beyond the hub's limit, so this one is of a spool that another program wrote.
    boost::asio::post(shared_.io, [this, alive = std::weak_ptr(alive_), slot, position = message->position] {
      if (alive.expired() || dying_) return;
      events().on_outcome(slot, position, Outcome::rejected("amqp:link:message-size-exceeded", "too large to encode"));
    });
    return SendResult::sent;
  }
  const auto tag = ++last_tag_;
  auto* delivery = pn_delivery(side.link, pn_dtag(reinterpret_cast<const char*>(&tag), sizeof tag));
  pn_delivery_set_context(delivery, in_flight_.put(message->position));
  pn_link_send(side.link, bytes->data(), bytes->size());
  pn_link_advance(side.link);
  connection_->wake();
  return SendResult::sent;
}

bool HubLink::Epoch::may_send(const Side& side) const {
  return pn_link_credit(side.link) > 0 &&
         static_cast<std::size_t>(pn_session_outgoing_bytes(pn_link_session(side.link))) <
             shared_.options.session_outgoing_limit;
}

void HubLink::Epoch::offer_sendable(Side& side) {
  if (!side.starved || !side.attached || !may_send(side)) return;
  side.starved = false;
  events().on_sendable(side.device->slot);
}

void HubLink::Epoch::retry_blocked() {
  const auto blocked = std::exchange(blocked_, {});
  for (const auto slot : blocked) {
    auto& side = find(slot)->telemetry;
    side.by_bytes = false;
    offer_sendable(side);
    if (!side.starved || side.by_bytes || pn_link_credit(side.link) <= 0) continue;
    side.by_bytes = true;
    blocked_.push_back(slot);
  }
  if (!blocked_.empty()) arm(shared_.clock.steady() + kBlockedRetry);
}

void HubLink::Epoch::on_command(Side& side, pn_delivery_t* delivery, std::string_view bytes) {
  auto& device = *side.device;
  auto command = shared_.decoder.decode(device.id, bytes, shared_.clock.steady() + kCommandTime);
  if (!command) {
    shared_.commands_malformed.add();
    log::warning("command_malformed", {{"device", device.id.text()}, {"error", command.error().message}});
    conclude(delivery, Outcome::rejected("amqp:decode-error", command.error().message));
    return connection_->wake();
  }
  shared_.commands.add();
  const auto number = ++last_command_;
  held_[number] = delivery;
  pn_delivery_set_context(delivery, reinterpret_cast<void*>(static_cast<std::uintptr_t>(number)));
  events().on_command(device.slot, std::move(*command), {shared_.options.connection, number_, number});
}

void HubLink::Epoch::grant_commands(DeviceSlot slot, unsigned credit) {
  auto* device = find(slot);
  if (!working() || device == nullptr || !device->commands.attached) return;
  auto* link = device->commands.link;
  // Less than before goes out as a flow with the smaller credit; a command that is on its way makes it negative here.
  const auto change = static_cast<int>(credit) - pn_link_credit(link);
  if (change == 0) return;
  pn_link_flow(link, change);
  connection_->wake();
}

void HubLink::Epoch::settle(CommandTag tag, const Outcome& outcome) {
  if (dying_ || tag.epoch != number_) return;
  const auto found = held_.find(tag.delivery);
  if (found == held_.end()) return;  // its link or lock ended; the hub will deliver it again
  auto* delivery = found->second;
  held_.erase(found);
  pn_delivery_set_context(delivery, nullptr);
  conclude(delivery, outcome);
  connection_->wake();
}

}  // namespace trunkline::hub
