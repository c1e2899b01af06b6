// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/responder.h"

#include <algorithm>
#include <utility>

#include "gateway/base/log.h"

namespace trunkline::coap {

namespace {

constexpr std::string_view kDefaultContentType = "application/octet-stream";
constexpr std::uint32_t kBusySeconds = 1;
constexpr std::uint32_t kStoppingSeconds = 10;

Response code_only(Code code) {
  Response out;
  out.code = code;
  return out;
}

Response unavailable(std::uint32_t seconds) {
  auto out = code_only(Code::unavailable);
  out.max_age = seconds;
  return out;
}

// RFC 7967 section 2.1: a bit for each class of response that is not wanted.
bool unwanted(std::uint8_t no_response, Code code) {
  return (no_response >> ((static_cast<unsigned>(code) >> 5) - 1) & 1U) != 0;
}

ExchangeTable::Reply reply_to(const Admission& admission) {
  switch (admission.kind) {
    case Admission::Kind::safe:
    case Admission::Kind::duplicate:
      return {Code::changed, 0};
    case Admission::Kind::throttled: {
      const auto seconds = (std::max<std::int64_t>(admission.retry_after.count(), 1) + 999) / 1000;
      return {Code::unavailable, static_cast<std::uint32_t>(std::min<std::int64_t>(seconds, 3600))};
    }
    case Admission::Kind::refused:
      return {admission.reason.rfind("oversize", 0) == 0 ? Code::too_large : Code::bad_request, 0};
    case Admission::Kind::abandoned:
      break;
  }
  return {};
}

}  // namespace

Counters::Counters(Metrics& metrics)
    : messages(metrics.metric("coap_messages_total", "CoAP requests received as telemetry")),
      acknowledged(metrics.metric("coap_acknowledged_total", "Requests answered with 2.04 because they are safe")),
      refused(metrics.metric("coap_refused_total", "Requests that intake refused")),
      throttled(metrics.metric("coap_throttled_total", "Requests answered with 5.03 because the gateway is full")),
      repeated(metrics.metric("coap_repeated_total", "Retransmissions that were recognised")),
      not_mapped(metrics.metric("coap_not_mapped_total", "Requests that no device map allows")),
      observers(metrics.metric("coap_observers", "Observers of command resources")) {}

Responder::Device::Device(DeviceMap device_map)
    : map(std::move(device_map)), lane(map.command_done != CommandDone::written) {}

Responder::Responder(std::vector<DeviceMap> maps, RequestMap map, const Clock& clock, Metrics& metrics)
    : clock_(clock), counters_(metrics), map_(std::move(map)) {
  std::vector<AdapterDeviceStatus> status;
  for (auto& device_map : maps) {
    by_id_.emplace(device_map.id, devices_.size());
    status.push_back({device_map.id.text(), Presence::away, {}, {}});
    devices_.emplace_back(std::move(device_map));
  }
  status_.with([&](auto& value) { value = std::move(status); });
}

void Responder::attach(Server& server, Ingress& ingress, Submit submit) {
  server_ = &server;
  ingress_ = &ingress;
  submit_ = std::move(submit);
}

Response Responder::on_request(const Request& request, const Peer& peer, coap_session_t* session) {
  const auto decision = map_.decide(request, peer.address);
  if (decision.refuse) {
    counters_.not_mapped.add();
    return code_only(*decision.refuse);
  }
  auto& device = devices_[decision.device];
  heard(device, decision.device, peer);
  switch (decision.role) {
    case RequestMap::Role::telemetry:
      return on_telemetry(device, decision.device, request, peer, session);
    case RequestMap::Role::command:
      return on_command_read(device, decision.device, request, session);
    case RequestMap::Role::result:
      return on_result(device, decision.device, request);
  }
  return code_only(Code::internal_error);
}

Response Responder::on_telemetry(Device& device, std::size_t index, const Request& request, const Peer& peer,
                                 coap_session_t* session) {
  if (stopping_) return unavailable(kStoppingSeconds);
  const auto seen = exchanges_.see(peer, request, clock_.steady());
  switch (seen.kind) {
    case ExchangeTable::Seen::Kind::fresh:
      break;
    case ExchangeTable::Seen::Kind::pending:
      counters_.repeated.add();
      return {};
    case ExchangeTable::Seen::Kind::answered: {
      counters_.repeated.add();
      auto again = code_only(seen.reply.code);
      if (seen.reply.code == Code::unavailable) again.max_age = seen.reply.max_age;
      again.block1 = request.block1;
      return again;
    }
    case ExchangeTable::Seen::Kind::busy:
      counters_.throttled.add();
      return unavailable(kBusySeconds);
  }
  if (outstanding_.size() >= kOutstanding || server_->sessions() >= kSessions) {
    // Answered at once and without state of ours, whoever the peer says it is.
    exchanges_.answer(seen.id, {Code::unavailable, kBusySeconds});
    counters_.throttled.add();
    return unavailable(kBusySeconds);
  }
  counters_.messages.add();
  Telemetry telemetry{
      device.map.id, std::string(request.payload), device.map.content_type, device.map.content_encoding, {}, {},
      Source::coap};
  const auto stated = request.content_format ? media_type(*request.content_format) : std::nullopt;
  if (stated) {
    telemetry.content_type = *stated;
  } else if (telemetry.content_type.empty()) {
    telemetry.content_type = kDefaultContentType;
  }
  outstanding_.emplace(seen.id, Outstanding{Session(session), request.token, index, request.block1, request.confirmable,
                                            request.no_response});
  submit_(seen.id, std::move(telemetry));
  return {};
}

void Responder::on_admission(std::uint64_t request, const Admission& admission) {
  const auto found = outstanding_.find(request);
  if (found == outstanding_.end()) return;
  const auto waiting = std::move(found->second);
  outstanding_.erase(found);
  const auto reply = reply_to(admission);
  // Abandoned: the gateway is stopping, the device gets no answer and will ask again.
  if (reply.code == Code::none) return;
  exchanges_.answer(request, reply);

  auto& device = devices_[waiting.device];
  auto response = code_only(reply.code);
  response.block1 = waiting.block1;
  if (reply.code == Code::changed) {
    counters_.acknowledged.add();
  } else if (reply.code == Code::unavailable) {
    counters_.throttled.add();
    response.max_age = reply.max_age;
  } else {
    counters_.refused.add();
    response.payload = std::string_view(admission.reason).substr(0, 128);  // a diagnostic (RFC 7252 section 5.5.2)
    if (const auto suppressed = device.log.allow(clock_.steady())) {
      log::warning("message_refused", {{"adapter", "coap"},
                                       {"device", device.map.id.text()},
                                       {"reason", admission.reason},
                                       {"suppressed", *suppressed}});
    }
  }
  if (unwanted(waiting.no_response, reply.code)) return;
  // If it cannot be sent, the device sends its request again and gets the answer from the table.
  server_->send(waiting.session.get(), waiting.confirmable, waiting.token, response);
}

Response Responder::on_result(Device& device, std::size_t index, const Request& request) {
  const auto id = query_value(request, "id");
  if (!id) return code_only(Code::bad_request);
  if (!device.lane.on_result(*id)) return code_only(Code::not_found);
  notify(device, index);
  return code_only(Code::changed);
}

Response Responder::show(const Device& device, const Command* command) {
  auto out = code_only(Code::content);
  if (command == nullptr) return out;
  shown_ = command->body;
  out.payload = shown_;
  out.content_format = content_format(command->content_type);
  out.location_query = "id=" + command->wire_id();
  out.observe = device.observe;
  return out;
}

Response Responder::on_command_read(Device& device, std::size_t index, const Request& request,
                                    coap_session_t* session) {
  auto out = show(device, device.lane.current());
  out.observe.reset();
  if (request.accept && out.content_format && *request.accept != *out.content_format) {
    return code_only(Code::not_acceptable);
  }
  if (stopping_) return out;
  if (request.observe == 0U) {
    observe(device, request.token, session);
    out.observe = device.observe;
  } else if (request.observe) {
    forget_observer(device, session);
  }
  update_presence(device, index, clock_.steady());
  return out;
}

void Responder::observe(Device& device, const Token& token, coap_session_t* session) {
  // Registering again, with the same token or a new one, replaces the registration (RFC 7641 section 4.1).
  forget_observer(device, session);
  if (device.observers.size() >= kObserversPerDevice) forget_observer(device, device.observers.front().session.get());
  device.observers.push_back({Session(session), token});
  counters_.observers.set(++observers_);
}

void Responder::forget_observer(Device& device, coap_session_t* session) {
  const auto gone = std::erase_if(device.observers,
                                  [session](const Observer& observer) { return observer.session.get() == session; });
  counters_.observers.set(observers_ -= gone);
}

void Responder::on_undelivered(coap_session_t* session, const Token& token) {
  const auto now = clock_.steady();
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    auto& device = devices_[i];
    const bool is_observer = std::any_of(
        device.observers.begin(), device.observers.end(),
        [&](const Observer& observer) { return observer.session.get() == session && observer.token == token; });
    if (!is_observer) continue;
    forget_observer(device, session);
    log::info("device_observer_lost", {{"adapter", "coap"}, {"device", device.map.id.text()}});
    update_presence(device, i, now);
  }
}

void Responder::deliver(Command command, Completion<Outcome> done) {
  const auto found = by_id_.find(command.device);
  if (found == by_id_.end()) {
    done(Outcome::rejected("amqp:not-found", "no such CoAP device"));
    return;
  }
  auto& device = devices_[found->second];
  if (!device.map.coap->command) {
    done(Outcome::rejected("amqp:not-implemented", "no coap.command is mapped for this device"));
    return;
  }
  const bool reachable = !stopping_ && device.presence == Presence::reachable;
  device.lane.add(std::move(command), std::move(done), reachable, clock_.steady());
  notify(device, found->second);
}

void Responder::notify(Device& device, std::size_t index) {
  while (const auto* command = device.lane.next()) {
    device.observe = (device.observe + 1) & 0xffffff;
    const auto notification = show(device, command);
    bool sent = false;
    // Sending may tell of a lost observer at once, so the list is not walked while it may change.
    std::vector<std::pair<Session, Token>> to;
    for (const auto& observer : device.observers) to.emplace_back(Session(observer.session.get()), observer.token);
    for (const auto& [session, token] : to) sent |= server_->send(session.get(), true, token, notification);
    if (!sent) {
      counters_.observers.set(observers_ -= device.observers.size());
      device.observers.clear();
      update_presence(device, index, clock_.steady());
      return;
    }
    device.lane.on_notified();
  }
  wake_at(device.lane.deadline());
}

void Responder::heard(Device& device, std::size_t index, const Peer& peer) {
  const auto now = clock_.steady();
  device.last_heard = now;
  const bool moved = device.peer != peer;
  device.peer = peer;
  status_.with([&](auto& status) {
    status[index].last_heard = clock_.wall();
    if (moved) status[index].peer = to_text(peer);
  });
  if (device.map.expect_every) update_presence(device, index, now);
}

void Responder::update_presence(Device& device, std::size_t index, SteadyTime now) {
  const auto& every = device.map.expect_every;
  const bool lately = !every || (device.last_heard && now - *device.last_heard < 3 * *every);
  const auto presence = lately && !device.observers.empty() ? Presence::reachable : Presence::away;
  const bool changed = presence != device.presence;
  device.presence = presence;
  wake_at(due(device));
  if (!changed) return;
  status_.with([&](auto& status) { status[index].presence = presence; });
  if (presence == Presence::away) device.lane.release_all("the device is away");
  ingress_->presence(device.map.id, presence);
}

SteadyTime Responder::due(const Device& device) const {
  auto out = device.lane.deadline();
  if (device.presence == Presence::reachable && device.map.expect_every && device.last_heard) {
    out = std::min(out, *device.last_heard + 3 * *device.map.expect_every);
  }
  return out;
}

void Responder::wake_at(SteadyTime time) {
  // A tick that comes too early only looks again.
  next_tick_ = std::min(next_tick_, time);
}

void Responder::tick(SteadyTime now) {
  if (now < next_tick_) return;
  next_tick_ = kNever;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    auto& device = devices_[i];
    if (due(device) <= now) {
      device.lane.tick(now);
      update_presence(device, i, now);
      notify(device, i);
    }
    wake_at(due(device));
  }
}

void Responder::stop_taking() {
  stopping_ = true;
  for (auto& device : devices_) device.lane.release_all("the gateway is stopping");
}

void Responder::close() {
  outstanding_.clear();
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    devices_[i].observers.clear();
    update_presence(devices_[i], i, clock_.steady());
  }
  counters_.observers.set(observers_ = 0);
}

std::vector<AdapterDeviceStatus> Responder::status() const {
  return status_.with([](const auto& status) { return status; });
}

}  // namespace trunkline::coap
