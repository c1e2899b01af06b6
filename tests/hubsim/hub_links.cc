// SPDX-License-Identifier: Apache-2.0
// The part of HubConnection that lets sessions and links in and out (hub-amqp-protocol sections 4 and 9).
#include <proton/session.h>

#include <vector>

#include "gateway/base/crypto.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kIncomingWindowFrames = 5'000;

}  // namespace

void HubConnection::on_session_open(pn_session_t* session) {
  pn_session_set_incoming_capacity(session, kIncomingWindowFrames * kMaxFrameBytes);
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
  auto address = Address::parse(text == nullptr ? "" : text);
  using Kind = Address::Kind;
  if (address.kind == Kind::telemetry && hub_sends && !address.module.empty()) address.kind = Kind::inputs;
  const auto refuse = [this, handle](std::string condition, int code, std::string_view message) {
    if (condition == "amqp:unauthorized-access") ++hub_.counters.authorisation_errors;
    refuse_link(handle, {std::move(condition), error_text(code, message, hub_.wall())});
  };
  switch (address.kind) {
    case Kind::cbs:
      return accept_link(handle, address, nullptr, {});
    case Kind::service_commands:
    case Kind::service_feedback:
    case Kind::service_notifications: {
      if ((address.kind != Kind::service_commands) != hub_sends) break;
      const auto* grant = service_grant(hub_sends ? "/messages/serviceBound" : "/messages/devicebound");
      if (grant == nullptr) return refuse("amqp:unauthorized-access", 401002, "Unauthorized");
      return accept_link(handle, address, nullptr, grant->identity);
    }
    case Kind::telemetry:
    case Kind::inputs:
    case Kind::commands:
      if ((address.kind != Kind::telemetry) != hub_sends) break;
      [[fallthrough]];
    case Kind::twin:
    case Kind::methods: {
      auto device = hub_.device(address);
      if (!device || !hub_.directory().enabled(device->id)) {
        return refuse("amqp:not-found", 404001, "Device not found");
      }
      const auto* grant = device_grant(device->id);
      if (grant == nullptr) return refuse("amqp:unauthorized-access", 401002, "Unauthorized");
      if (refused_by_test(handle, address.kind, *device)) return;
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
  const bool commands = added.hub_sends && !settled && added.kind != Kind::cbs;
  pn_link_set_snd_settle_mode(handle, settled ? PN_SND_SETTLED : commands ? PN_SND_MIXED : PN_SND_UNSETTLED);
  pn_link_set_rcv_settle_mode(handle, commands ? PN_RCV_SECOND : PN_RCV_FIRST);
  pn_link_set_max_message_size(handle, commands ? pn_link_remote_max_message_size(handle) : kMaxMessageBytes);
  pn_link_open(handle);

  if (added.kind == Kind::cbs && added.hub_sends) answer_link_ = &added;
  if (added.device) {
    ++added.device->attaches;
    added.device->links.push_back(&added);
    if (added.hub_sends) take_over(added);
  }
  if (!added.hub_sends) refresh_credit(added);
  hub_.changed();
}

// The next attaches that a test wants refused, and those over the hub's rate.
bool HubConnection::refused_by_test(pn_link_t* handle, Address::Kind kind, Device& device) {
  for (auto* faults : {&device.faults, &hub_.all_devices()}) {
    if (faults->attach_refusals == 0) continue;
    if (!faults->attach_link.empty() && faults->attach_link != kind_name(kind)) continue;
    --faults->attach_refusals;
    ++device.attaches_refused;
    ++hub_.counters.attaches_refused;
    refuse_link(handle, faults->attach_condition);
    hub_.changed();
    return true;
  }
  if (hub_.throttles.attaches.take(hub_.steady())) return false;
  ++hub_.throttles.refused;
  ++device.attaches_refused;
  refuse_link(handle, throttled_condition(hub_.wall()), retry_info(hub_.throttles.retry_after));
  hub_.changed();
  return true;
}

// Section 10: the newest receive link of a device wins, on whichever connection.
void HubConnection::take_over(Link& link) {
  auto** newest = link.device->newest(link.kind);
  if (newest == nullptr) return;
  auto* older = std::exchange(*newest, &link);
  if (older != nullptr) {
    silenced(*link.device, link.kind);
    ++link.device->take_overs;
    ++hub_.counters.take_overs;
    older->connection->detach(*older, hub_.take_over_condition);
  }
  serve(link);
  if (link.kind == Address::Kind::methods) hub_.calls_changed(*link.device);
}

// The device's newest receive link of the kind is gone.
void HubConnection::silenced(Device& device, Address::Kind kind) {
  if (kind == Address::Kind::twin) device.wants_desired = false;
  if (kind == Address::Kind::methods) device.calls.link_lost();
}

void HubConnection::refuse_link(pn_link_t* handle, const amqp::Condition& condition, const ConditionInfo& info) {
  pn_link_set_context(handle, nullptr);
  pn_terminus_set_type(pn_link_source(handle), PN_UNSPECIFIED);
  pn_terminus_set_type(pn_link_target(handle), PN_UNSPECIFIED);
  pn_link_open(handle);
  amqp::write(pn_link_condition(handle), condition);
  write_info(pn_link_condition(handle), info);
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
    if (auto** newest = device->newest(kind); newest != nullptr && *newest == &link) {
      *newest = nullptr;
      silenced(*device, kind);
    }
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
