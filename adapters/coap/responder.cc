// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/responder.h"

#include <algorithm>
#include <utility>

#include "adapters/coap/device_time.h"
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

Response wait_and_ask_again(Code code, std::uint32_t seconds) {
  auto out = code_only(code);
  out.max_age = seconds;
  return out;
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

std::optional<std::uint32_t> option_of(const std::optional<Block>& block) {
  if (!block) return std::nullopt;
  return block->option();
}

// What a device calls its message, within the lifetime of an exchange (RFC 7252 section 4.2). It outlives us, so that a
// repeat to our next life is known; a device that says the same from the same port in the next hour says something new.
std::string source_key(const Speaker& speaker, const Request& request, WallTime now) {
  auto out = to_text(speaker.peer) + (speaker.secure ? "s" : "");
  if (speaker.peer.life != 0) out += std::to_string(speaker.peer.life);
  out += ' ' + std::to_string(now.time_since_epoch() / ExchangeTable::kLifetime);
  out += ' ' + std::to_string(request.message_id) + ' ';
  out.append(request.token.bytes.begin(), request.token.bytes.begin() + request.token.size);
  return out + ' ' + std::to_string(std::hash<std::string_view>{}(request.payload));
}

}  // namespace

Responder::Responder(std::vector<DeviceMap> maps, RequestMap map, const config::Coap& settings, const Clock& clock,
                     Metrics& metrics)
    : shared_{clock, settings, Counters(metrics)},
      map_(std::move(map)),
      pusher_([this](std::size_t device, Outcome outcome, bool heard) {
        devices_[device]->on_pushed(std::move(outcome), heard);
      }),
      rate_(settings.peer_rate, std::size_t{2} * settings.max_sessions),
      bodies_({static_cast<std::size_t>(settings.max_body),
               std::max<std::size_t>(4 * 1024 * 1024, 4 * settings.max_body), 1024}) {
  shared_.pusher = &pusher_;
  shared_.exchanges = &exchanges_;
  for (auto& device_map : maps) put(devices_.size(), std::move(device_map));
}

Device& Responder::put(std::size_t place, DeviceMap map) {
  by_id_.insert_or_assign(map.id, place);
  shared_.status.with([&](auto& status) {
    if (status.size() <= place) status.resize(place + 1);
    status[place] = {map.id.text(), Presence::away, {}, {}};
  });
  if (devices_.size() <= place) devices_.resize(place + 1);
  devices_[place] = std::make_unique<Device>(std::move(map), place, shared_);
  return *devices_[place];
}

void Responder::free_places() {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const bool waits = std::any_of(outstanding_.begin(), outstanding_.end(),
                                   [i](const auto& request) { return request.second.device == i; });
    if (devices_[i] && devices_[i]->retired() && !waits) devices_[i].reset();
  }
}

Result<void> Responder::change(const DeviceChanges& changes) {
  free_places();
  // As it would be: who stays keeps its place, who has another map gets another place.
  std::vector<DeviceMap> maps;
  std::vector<bool> leaves(devices_.size());
  for (const auto& id : changes.removed) {
    if (const auto found = by_id_.find(id); found != by_id_.end()) leaves[found->second] = true;
  }
  for (const auto& map : changes.added) {
    if (const auto found = by_id_.find(map.id); found != by_id_.end()) leaves[found->second] = true;
  }
  const DeviceMap nobody{*DeviceId::parse("nobody")};
  std::vector<std::size_t> places;
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const bool stays = devices_[i] && !devices_[i]->retired() && !leaves[i];
    maps.push_back(stays ? devices_[i]->map() : nobody);
    if (!devices_[i]) free.push_back(i);
  }
  for (const auto& map : changes.added) {
    if (free.empty()) {
      free.push_back(maps.size());
      maps.push_back(nobody);
    }
    places.push_back(free.back());
    free.pop_back();
    maps[places.back()] = map;
  }
  auto request_map = RequestMap::make(maps);
  if (!request_map) return fail(request_map.error());

  map_ = std::move(*request_map);
  for (const auto& id : changes.removed) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) continue;
    devices_[found->second]->retire("its map was taken away");
    by_id_.erase(found);
  }
  for (std::size_t i = 0; i < changes.added.size(); ++i) {
    const auto found = by_id_.find(changes.added[i].id);
    Device* before = found == by_id_.end() ? nullptr : devices_[found->second].get();
    auto& device = put(places[i], changes.added[i]);
    if (before != nullptr) {
      device.follow(*before);
      before->retire("its map was changed");
    }
    device.start();
  }
  return {};
}

void Responder::attach(Server& server, Ingress& ingress, Submit submit) {
  server_ = &server;
  shared_.ingress = &ingress;
  submit_ = std::move(submit);
  pusher_.attach(server);
  for (const auto& device : devices_) device->start();
}

// The key may have been changed or taken away, or the device disabled, since the handshake.
std::optional<Code> Responder::check_key(const Device& device, const Speaker& speaker, coap_session_t* session) {
  if (!speaker.secure) return std::nullopt;
  const auto key = shared_.ingress->handshake_key(device.map().id);
  const bool good = speaker.key.empty() ? key || key.error().code != ErrorCode::denied
                                        : key && *key == Secret(std::string(speaker.key));
  if (good) return std::nullopt;
  server_->end(session);
  return Code::unauthorised;
}

Response Responder::on_request(const Request& request, const Speaker& speaker, coap_session_t* session) {
  auto endpoint = speaker.peer;
  endpoint.life = 0;  // a new handshake is no new allowance
  if (!rate_.allow(endpoint, shared_.clock.steady())) {
    shared_.counters.limited.add();
    return wait_and_ask_again(Code::too_many, kBusySeconds);
  }
  const auto decision = map_.decide(request, speaker);
  if (decision.refuse) {
    shared_.counters.not_mapped.add();
    return code_only(*decision.refuse);
  }
  auto& device = *devices_[decision.device];
  if (const auto refused = check_key(device, speaker, session)) return code_only(*refused);
  device.heard(speaker.peer);
  switch (decision.role) {
    case RequestMap::Role::telemetry:
    case RequestMap::Role::method_reply:
    case RequestMap::Role::reported:
      return on_body(device, decision, request, speaker, session);
    case RequestMap::Role::command:
      if (device.polls(request)) return on_poll(device, request, speaker, session);
      return device.on_read(request, session, CommandKind::message);
    case RequestMap::Role::method:
      return device.on_read(request, session, CommandKind::method);
    case RequestMap::Role::desired:
      return device.on_read(request, session, CommandKind::desired);
    case RequestMap::Role::result:
      return device.on_result(request);
  }
  return code_only(Code::internal_error);
}

Response Responder::on_poll(Device& device, const Request& request, const Speaker& speaker, coap_session_t* session) {
  const auto now = shared_.clock.steady();
  const auto seen = exchanges_.see(speaker.peer, request, now);
  switch (seen.kind) {
    case ExchangeTable::Seen::Kind::fresh:
      return device.on_poll({Session(session), request.token, std::nullopt, request.block2,
                             request.confirmable && !speaker.crowding, request.no_response, now, std::nullopt,
                             seen.id});
    case ExchangeTable::Seen::Kind::pending:
      shared_.counters.repeated.add();
      return {};
    case ExchangeTable::Seen::Kind::answered:
      shared_.counters.repeated.add();
      return device.on_read(request, session, CommandKind::message);
    case ExchangeTable::Seen::Kind::busy:
      break;
  }
  shared_.counters.throttled.add();
  return wait_and_ask_again(Code::unavailable, kBusySeconds);
}

Response Responder::on_body(Device& device, RequestMap::Decision decision, const Request& request,
                            const Speaker& speaker, coap_session_t* session) {
  const bool telemetry = decision.role == RequestMap::Role::telemetry;
  if (telemetry && request.block2 && request.block2->number > 0) return device.on_rest(request);
  if (shared_.stopping) return wait_and_ask_again(Code::unavailable, kStoppingSeconds);
  const auto seen = exchanges_.see(speaker.peer, request, shared_.clock.steady());
  switch (seen.kind) {
    case ExchangeTable::Seen::Kind::fresh:
      break;
    case ExchangeTable::Seen::Kind::pending:
      shared_.counters.repeated.add();
      return {};
    case ExchangeTable::Seen::Kind::answered: {
      shared_.counters.repeated.add();
      auto again = telemetry && seen.reply.code == Code::changed ? device.on_repeated() : code_only(seen.reply.code);
      if (seen.reply.code == Code::unavailable) again.max_age = seen.reply.max_age;
      again.block1 = option_of(request.block1);
      return again;
    }
    case ExchangeTable::Seen::Kind::busy:
      shared_.counters.throttled.add();
      return wait_and_ask_again(Code::unavailable, kBusySeconds);
  }
  if (outstanding_.size() >= kOutstanding || speaker.crowded) {
    // Answered at once and without state of ours, whoever the peer says it is.
    exchanges_.answer(seen.id, {Code::unavailable, kBusySeconds});
    shared_.counters.throttled.add();
    return wait_and_ask_again(Code::unavailable, kBusySeconds);
  }
  return take(device, decision, request, speaker, session, seen.id);
}

Response Responder::take(Device& device, RequestMap::Decision decision, const Request& request, const Speaker& speaker,
                         coap_session_t* session, std::uint64_t exchange) {
  const auto index = decision.device;
  const auto now = shared_.clock.steady();
  auto taken = bodies_.take(speaker, index, request, now);
  shared_.counters.body_bytes.set(bodies_.bytes());
  if (!taken.whole) {
    exchanges_.answer(exchange, {taken.answer, 0});
    auto out = code_only(taken.answer);
    out.block1 = option_of(request.block1);
    if (taken.answer == Code::too_large) {
      out.size1 = static_cast<std::uint32_t>(bodies_.limits().body);  // RFC 7959 section 4
      shared_.counters.refused.add();
      tell_refusal(device, "oversize: more than coap.max_body");
    }
    return out;
  }
  if (decision.role != RequestMap::Role::telemetry) {
    auto out = decision.role == RequestMap::Role::reported ? device.on_reported(request, taken.body)
                                                           : device.on_method_reply(request, taken.body);
    exchanges_.answer(exchange, {out.code, 0});
    out.block1 = option_of(request.block1);
    return out;
  }
  shared_.counters.messages.add();
  Telemetry telemetry{device.map().id,
                      std::move(taken.body),
                      device.map().content_type,
                      device.map().content_encoding,
                      {},
                      source_key(speaker, request, shared_.clock.wall()),
                      Source::coap};
  const auto& time = device.map().coap->time;
  if (time) telemetry.device_time = device_time(request, *time);
  const auto stated = request.content_format ? media_type(*request.content_format) : std::nullopt;
  if (stated) {
    telemetry.content_type = *stated;
  } else if (telemetry.content_type.empty()) {
    telemetry.content_type = kDefaultContentType;
  }
  outstanding_.emplace(exchange,
                       Outstanding{{Session(session), request.token, option_of(request.block1), request.block2,
                                    request.confirmable && !speaker.crowding, request.no_response, now,
                                    time ? time_for(request, *time, shared_.clock.wall()) : std::nullopt},
                                   index});
  if (device.map().coap->piggyback) device.on_asked();
  submit_(exchange, std::move(telemetry));
  return {};
}

void Responder::on_admission(std::uint64_t request, const Admission& admission) {
  const auto found = outstanding_.find(request);
  if (found == outstanding_.end()) return;
  auto waiting = std::move(found->second);
  outstanding_.erase(found);
  auto& device = *devices_[waiting.device];
  const auto reply = reply_to(admission);
  const bool piggyback = device.map().coap->piggyback;
  if (reply.code == Code::changed) {
    shared_.counters.acknowledged.add();
    exchanges_.answer(request, reply);
    if (piggyback && !shared_.stopping && !device.retired()) {
      device.answer(std::move(waiting.question));
      return;
    }
  }
  if (piggyback) device.on_not_answered();
  // Abandoned: the gateway is stopping, the device gets no answer and will ask again.
  if (reply.code == Code::none) return;
  exchanges_.answer(request, reply);

  auto response = code_only(reply.code);
  response.own_option = waiting.question.time;
  response.block1 = waiting.question.block1;
  if (reply.code == Code::unavailable) {
    shared_.counters.throttled.add();
    response.max_age = reply.max_age;
  } else if (reply.code != Code::changed) {
    shared_.counters.refused.add();
    response.payload = std::string_view(admission.reason).substr(0, 128);  // a diagnostic (RFC 7252 section 5.5.2)
    tell_refusal(device, admission.reason);
  }
  if (!wanted(waiting.question.no_response, reply.code)) return;
  // If it cannot be sent, the device sends its request again and gets the answer from the table.
  send(waiting.question.session.get(), waiting.question.confirmable, waiting.question.token, response);
}

void Responder::tell_refusal(Device& device, const std::string& reason) {
  const auto suppressed = device.log().allow(shared_.clock.steady());
  if (!suppressed) return;
  log::warning(
      "message_refused",
      {{"adapter", "coap"}, {"device", device.map().id.text()}, {"reason", reason}, {"suppressed", *suppressed}});
}

std::optional<Secret> Responder::key_of(std::string_view identity) {
  const auto device = map_.device_of(identity);
  auto key = device ? shared_.ingress->handshake_key(devices_[*device]->map().id)
                    : Result<Secret>(fail(ErrorCode::not_found, "no device map has this coap.identity"));
  if (key && !key->empty()) return std::move(*key);
  shared_.counters.handshakes_refused.add();
  if (const auto suppressed = handshake_log_.allow(shared_.clock.steady())) {
    log::warning("device_handshake_refused", {{"adapter", "coap"},
                                              {"identity", identity},
                                              {"error", key ? "an empty key" : key.error().message},
                                              {"suppressed", *suppressed}});
  }
  return std::nullopt;
}

bool Responder::knows_certificate(std::string_view name) {
  const auto device = map_.device_of(name);
  const auto key = device ? shared_.ingress->handshake_key(devices_[*device]->map().id)
                          : Result<Secret>(fail(ErrorCode::denied, "no device map has this name as coap.identity"));
  // It needs no pre-shared key, but it must not be disabled.
  if (key || key.error().code != ErrorCode::denied) return true;
  shared_.counters.handshakes_refused.add();
  if (const auto suppressed = handshake_log_.allow(shared_.clock.steady())) {
    log::warning(
        "device_handshake_refused",
        {{"adapter", "coap"}, {"certificate", name}, {"error", key.error().message}, {"suppressed", *suppressed}});
  }
  return false;
}

void Responder::on_undelivered(coap_session_t* session, const Token& token) {
  pusher_.on_undelivered(session, token);
  for (const auto& device : devices_) {
    if (device && device->on_undelivered(session, token)) return;
  }
}

void Responder::on_closed(coap_session_t* session) {
  for (const auto& device : devices_) {
    if (device) device->on_closed(session);
  }
}

void Responder::on_answer(coap_session_t* session, const Token& token, const PushAnswer& answer) {
  pusher_.on_answer(session, token, answer);
}

void Responder::deliver(Command command, Completion<Outcome> done) {
  const auto found = by_id_.find(command.device);
  if (found == by_id_.end()) {
    done(Outcome::released("the device's map has just been changed"));
    return;
  }
  auto& device = *devices_[found->second];
  const auto& map = device.map();
  const bool mapped = command.kind == CommandKind::method    ? map.takes_methods()
                      : command.kind == CommandKind::desired ? map.takes_desired()
                                                             : map.takes_commands();
  if (!mapped) {
    done(Outcome::rejected("amqp:not-implemented", "no path for this is mapped for this device"));
    return;
  }
  device.deliver(std::move(command), std::move(done));
}

void Responder::tick(SteadyTime now) {
  pusher_.sweep();
  if (now < shared_.next_tick) return;
  shared_.next_tick = kNever;
  for (const auto& device : devices_) {
    if (!device || device->retired()) continue;
    if (device->due() <= now) device->tick(now);
    shared_.wake_at(device->due());
  }
}

void Responder::stop_taking() {
  shared_.stopping = true;
  for (const auto& device : devices_) {
    if (!device) continue;
    device->answer_all();
    device->release_all("the gateway is stopping");
  }
}

void Responder::close() {
  outstanding_.clear();
  for (const auto& device : devices_) {
    if (device) device->close();
  }
  pusher_.close();
  shared_.counters.observers.set(shared_.observers = 0);
}

std::vector<AdapterDeviceStatus> Responder::status() const {
  auto out = shared_.status.with([](const auto& status) { return status; });
  std::erase_if(out, [](const auto& device) { return device.device.empty(); });
  return out;
}

}  // namespace trunkline::coap
