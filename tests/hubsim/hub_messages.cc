// SPDX-License-Identifier: Apache-2.0
// The part of HubConnection that moves messages: telemetry up, commands and feedback down, the service's commands in.
#include <proton/session.h>

#include "gateway/base/encoding.h"
#include "tests/hubsim/amqp_value.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxTelemetryBytes = 256 * 1024;
constexpr std::size_t kMaxCommandBytes = 64 * 1024;
constexpr int kTokenCredit = 100;
constexpr std::size_t kMaxUnframedBytes = 256 * 1024;

amqp::Condition too_large() {
  return {"amqp:link:message-size-exceeded", "The message is larger than the hub takes"};
}

std::string guid_text(std::string_view bytes) {
  auto text = hex_encode(bytes);
  for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, 1, '-');
  return text;
}

// Section 6.1, with the types that the SDKs read.
std::string encode_command(const CommandQueue::Item& item, const std::string& token) {
  std::string annotations;
  wire::put_symbol(annotations, "iothub-enqueuedtime");
  wire::put_timestamp(annotations, item.enqueued.time_since_epoch().count());
  wire::put_symbol(annotations, "iothub-deliverycount");
  wire::put_ubyte(annotations, static_cast<std::uint8_t>(std::min(item.delivery_count, 255u)));
  wire::put_symbol(annotations, "x-opt-sequence-number");
  wire::put_ulong(annotations, item.sequence);
  wire::put_symbol(annotations, "x-opt-lock-token");
  wire::put_string(annotations, guid_text(token));
  std::string out;
  wire::put_descriptor(out, 0x72);
  wire::put_map(out, 8, annotations);
  append_properties(out, item.message);
  auto properties = item.message.properties;
  if (!item.ack.empty()) properties.emplace_back("iothub-ack", item.ack);
  append_application_properties(out, properties);
  append_data(out, item.message.body);
  return out;
}

std::optional<Verdict> verdict_of(std::uint64_t state) {
  switch (state) {
    case PN_ACCEPTED:
      return Verdict::accepted;
    case PN_REJECTED:
      return Verdict::rejected;
    case PN_RELEASED:
      return Verdict::released;
    case PN_MODIFIED:
      return Verdict::modified;
    default:
      return std::nullopt;
  }
}

void refuse(pn_delivery_t* delivery, const Faults& fault) {
  switch (fault.refusal) {
    case Verdict::accepted:
      amqp::accept(delivery);
      break;
    case Verdict::rejected:
      amqp::reject(delivery, fault.condition);
      break;
    case Verdict::released:
      amqp::release(delivery);
      break;
    case Verdict::modified:
      amqp::modify(delivery, true, fault.undeliverable_here);
      break;
  }
}

}  // namespace

void HubConnection::on_flow(pn_link_t* handle) {
  if (auto* link = static_cast<Link*>(pn_link_get_context(handle)); link != nullptr && link->hub_sends) {
    ready_.insert(link);
  }
}

void HubConnection::on_delivery(pn_delivery_t* delivery) {
  auto* handle = pn_delivery_link(delivery);
  auto* link = static_cast<Link*>(pn_link_get_context(handle));
  if (link == nullptr) {
    // In flight while the link was being detached: dropped as it comes, so that it cannot pile up.
    payload_.resize(pn_delivery_pending(delivery));
    if (!payload_.empty() && pn_link_is_receiver(handle)) pn_link_recv(handle, payload_.data(), payload_.size());
    if (!pn_delivery_partial(delivery)) pn_delivery_settle(delivery);
    return;
  }
  if (link->hub_sends) return on_outcome(*link, delivery);
  if (pn_delivery_aborted(delivery)) return pn_delivery_settle(delivery);
  const auto size = pn_delivery_pending(delivery);
  if (size > kMaxMessageBytes) return detach(*link, too_large());
  if (pn_delivery_partial(delivery)) return;
  if (!pn_delivery_readable(delivery)) {
    // The client settled what we hold back: it will not hear an outcome any more.
    if (pn_delivery_settled(delivery)) {
      std::erase(link->held, delivery);
      pn_delivery_settle(delivery);
    }
    return;
  }
  payload_.resize(size);
  const auto got = pn_link_recv(handle, payload_.data(), size);
  payload_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  pn_link_advance(handle);
  using Kind = Address::Kind;
  switch (link->kind) {
    case Kind::cbs:
      on_put_token(*link, delivery, payload_);
      break;
    case Kind::telemetry:
      on_telemetry(*link, delivery, payload_);
      break;
    case Kind::service_commands:
      on_service_command(*link, delivery, payload_);
      break;
    case Kind::twin:
      on_twin_request(*link, delivery, payload_);
      break;
    case Kind::methods:
      on_method_answer(*link, delivery, payload_);
      break;
    default:
      amqp::reject(delivery, {"amqp:not-allowed", "Nothing is taken on this link"});
      break;
  }
  // The link may be gone by now.
  if (pn_link_get_context(handle) == link) refresh_credit(*link);
}

void HubConnection::refresh_credit(Link& link) {
  if (link.hub_sends) return;
  const bool cbs = link.kind == Address::Kind::cbs;
  const bool zero = link.device && (link.device->faults.zero_credit || hub_.all_devices().zero_credit);
  const int wanted = zero ? 0 : cbs ? kTokenCredit : hub_.limits().telemetry_credit;
  const int have = pn_link_credit(link.handle);
  // $cbs is replenished at once, telemetry by halves. Below zero is what was in flight when credit was taken back.
  if (have < 0 || (zero && have > 0) || (!zero && have <= (cbs ? wanted - 1 : wanted / 2))) {
    pn_link_flow(link.handle, wanted - have);
    pump_->wake();
  }
}

void HubConnection::on_telemetry(Link& link, pn_delivery_t* delivery, std::string_view payload) {
  auto& device = *link.device;
  auto& all = hub_.all_devices();
  if (auto& fault = device.faults.refusals > 0 ? device.faults : all; fault.refusals > 0) {
    --fault.refusals;
    ++device.refused;
    refuse(delivery, fault);
    return hub_.changed();
  }
  if (!hub_.throttles.sends.take(hub_.steady())) {
    ++hub_.throttles.refused;
    ++device.refused;
    reject(delivery, throttled_condition(hub_.wall()), retry_info(hub_.throttles.retry_after));
    return hub_.changed();
  }
  auto batch = split_batch(payload);
  if (!batch) batch.emplace({payload});
  auto& log = hub_.log();
  std::vector<Message> messages;
  std::size_t size = 0;
  if (log.recording() || payload.size() > kMaxTelemetryBytes) {
    for (const auto bytes : *batch) {
      auto message = decode_message(bytes);
      if (!message) {
        ++device.refused;
        return amqp::reject(delivery, {"amqp:decode-error", message.error().message});
      }
      size += metered_size(*message);
      messages.push_back(std::move(*message));
    }
  }
  if (size > kMaxTelemetryBytes) {
    ++device.refused;
    return amqp::reject(delivery, too_large());
  }
  for (std::size_t i = 0; i < batch->size(); ++i) {
    ++device.arrivals;
    if (log.recording()) {
      log.add(device.id, device.arrivals, number_, hub_.wall(), std::move(messages[i]));
    } else {
      log.count();
    }
  }
  hub_.changed();
  if (device.faults.withhold || all.withhold) {
    link.held.push_back(delivery);
  } else {
    amqp::accept(delivery);
  }
}

void HubConnection::settle_held(Link& link) {
  for (auto* delivery : std::exchange(link.held, {})) amqp::accept(delivery);
  pump_->wake();
}

void HubConnection::on_service_command(Link&, pn_delivery_t* delivery, std::string_view payload) {
  auto message = decode_message(payload);
  if (!message) return amqp::reject(delivery, {"amqp:decode-error", message.error().message});
  if (message->body.size() > kMaxCommandBytes) return amqp::reject(delivery, too_large());
  const auto address = Address::parse(message->to);
  const auto device = address.kind == Address::Kind::commands ? hub_.device(address) : nullptr;
  if (!device) return amqp::reject(delivery, {"amqp:not-found", "Device not found"});
  std::string ack;
  std::erase_if(message->properties, [&ack](const auto& property) {
    if (property.first != "iothub-ack") return false;
    ack = property.second;
    return true;
  });
  if (!hub_.enqueue(*device, std::move(*message), std::move(ack))) {
    return amqp::reject(delivery, {"amqp:resource-limit-exceeded", "The device's queue is full"});
  }
  amqp::accept(delivery);
}

void HubConnection::serve(Link& link) {
  ready_.insert(&link);
  pump_->wake();
}

void HubConnection::serve_feedback() {
  for (const auto& [handle, link] : links_) {
    if (link->kind == Address::Kind::service_feedback) serve(*link);
  }
}

void HubConnection::send_queued(Link& link) {
  switch (link.kind) {
    case Address::Kind::commands:
    case Address::Kind::service_feedback:
      return send_commands(link);
    case Address::Kind::twin:
      return send_outbox(link);
    case Address::Kind::methods:
      return send_methods(link);
    default:
      if (pn_link_get_drain(link.handle)) pn_link_drained(link.handle);
  }
}

void HubConnection::send_commands(Link& link) {
  const bool commands = link.kind == Address::Kind::commands;
  if (commands && link.device->command_link != &link) return;
  auto& queue = commands ? link.device->queue : hub_.feedback_queue();
  bool sent = false;
  while (queue.has_waiting() && pn_link_credit(link.handle) > 0) {
    if (pn_session_outgoing_bytes(pn_link_session(link.handle)) > kMaxUnframedBytes) {
      ready_.insert(&link);
      break;
    }
    const auto delivery = queue.lock(link.id, hub_.steady(), hub_.wall());
    if (!delivery) break;
    send(link, delivery->token, encode_command(*delivery->item, delivery->token));
    sent = true;
  }
  if (!queue.has_waiting() && pn_link_get_drain(link.handle)) pn_link_drained(link.handle);
  if (!sent) return;
  if (commands) {
    hub_.queue_changed(*link.device);
  } else {
    hub_.feedback_changed();
  }
}

bool HubConnection::send(Link& link, const std::string& tag, const std::string& payload) {
  if (pn_link_credit(link.handle) <= 0) return false;
  pn_delivery(link.handle, pn_dtag(tag.data(), tag.size()));
  pn_link_send(link.handle, payload.data(), payload.size());
  pn_link_advance(link.handle);
  return true;
}

void HubConnection::on_outcome(Link& link, pn_delivery_t* delivery) {
  if (!pn_delivery_updated(delivery)) return;
  const auto state = pn_delivery_remote_state(delivery);
  auto verdict = verdict_of(state);
  // Settled without a word: nobody has it any more, so it waits again.
  if (!verdict && pn_delivery_settled(delivery)) verdict = Verdict::released;
  if (!verdict) return;
  if (link.kind == Address::Kind::cbs) return pn_delivery_settle(delivery);

  const auto tag = pn_delivery_tag(delivery);
  const std::string token(tag.start, tag.size);
  const auto reason = amqp::read(pn_disposition_condition(pn_delivery_remote(delivery)));
  bool locked = false;
  if (link.kind == Address::Kind::commands) {
    locked = hub_.settle(*link.device, token, *verdict, reason);
  } else if (link.kind == Address::Kind::service_feedback) {
    locked = hub_.feedback_queue().settle(token, *verdict);
    hub_.feedback_changed();
  }
  if (!locked) {
    return amqp::reject(delivery, {"com.microsoft:message-lock-lost", "The lock of the message is over"});
  }
  // The second half of rcv-settle-mode second: the same state, settled.
  pn_delivery_update(delivery, state);
  pn_delivery_settle(delivery);
}

}  // namespace trunkline::hubsim
