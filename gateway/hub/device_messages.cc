// SPDX-License-Identifier: Apache-2.0
// What travels on a device's links: telemetry out, commands in and their outcomes.
#include <proton/disposition.h>

#include <boost/asio/post.hpp>

#include "gateway/amqp/engine.h"
#include "gateway/base/log.h"
#include "gateway/hub/epoch.h"

namespace trunkline::hub {

namespace {

// Before the hub's lock of 60 s ends (C-01).
constexpr Milliseconds kCommandTime{45'000};
// Proton says that a link may send again once it has written for it, but nothing when a session's window reopens.
constexpr Milliseconds kBlockedRetry{20};

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

Uplink::SendResult HubLink::Epoch::send(DeviceSlot slot, const MessagePtr& message) {
  auto* device = find(slot);
  if (!working() || device == nullptr || !device->channel(DeviceLink::telemetry).attached) {
    return SendResult::detached;
  }
  auto& channel = device->channel(DeviceLink::telemetry);
  if (!may_send(channel)) {
    channel.starved = true;
    if (pn_link_credit(channel.sender) <= 0) return SendResult::no_credit;
    if (!channel.by_bytes) {
      channel.by_bytes = true;
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
  auto* delivery = pn_delivery(channel.sender, pn_dtag(reinterpret_cast<const char*>(&tag), sizeof tag));
  pn_delivery_set_context(delivery, in_flight_.put({message->position, &channel}));
  pn_link_send(channel.sender, bytes->data(), bytes->size());
  pn_link_advance(channel.sender);
  connection_->wake();
  return SendResult::sent;
}

bool HubLink::Epoch::may_send(const Channel& channel) const {
  return pn_link_credit(channel.sender) > 0 &&
         static_cast<std::size_t>(pn_session_outgoing_bytes(pn_link_session(channel.sender))) <
             shared_.options.session_outgoing_limit;
}

void HubLink::Epoch::offer_sendable(Channel& channel) {
  if (!channel.starved || !channel.attached || !may_send(channel)) return;
  channel.starved = false;
  events().on_sendable(channel.device->slot);
}

void HubLink::Epoch::retry_blocked() {
  const auto blocked = std::exchange(blocked_, {});
  for (const auto slot : blocked) {
    auto& channel = find(slot)->channel(DeviceLink::telemetry);
    channel.by_bytes = false;
    offer_sendable(channel);
    if (!channel.starved || channel.by_bytes || pn_link_credit(channel.sender) <= 0) continue;
    channel.by_bytes = true;
    blocked_.push_back(slot);
  }
  if (!blocked_.empty()) arm(shared_.clock.steady() + kBlockedRetry);
}

void HubLink::Epoch::on_command(const Device& device, pn_delivery_t* delivery, std::string_view bytes) {
  auto command = shared_.decoder.decode(device.id, bytes, shared_.clock.steady() + kCommandTime);
  if (!command) {
    shared_.commands_malformed.add();
    log::warning("command_malformed", {{"device", device.id.text()}, {"error", command.error().message}});
    conclude(delivery, Outcome::rejected("amqp:decode-error", command.error().message));
    return connection_->wake();
  }
  shared_.commands.add();
  if (command->enqueued) shared_.time.at_least(*command->enqueued, shared_.clock.steady());
  const auto number = ++last_command_;
  held_[number] = delivery;
  pn_delivery_set_context(delivery, reinterpret_cast<void*>(static_cast<std::uintptr_t>(number)));
  events().on_command(device.slot, std::move(*command), {shared_.options.connection, number_, number});
}

void HubLink::Epoch::grant_commands(DeviceSlot slot, unsigned credit) {
  auto* device = find(slot);
  if (!working() || device == nullptr || !device->channel(DeviceLink::commands).attached) return;
  auto* link = device->channel(DeviceLink::commands).receiver;
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
