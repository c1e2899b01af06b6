// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/device.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "gateway/base/log.h"
#include "gateway/mapping/method_answer.h"

namespace trunkline::coap {

namespace {

constexpr std::uint8_t kLargestExponent = 6;  // 1024 bytes: what one datagram carries everywhere

Response code_only(Code code) {
  Response out;
  out.code = code;
  return out;
}

}  // namespace

Counters::Counters(Metrics& metrics)
    : messages(metrics.metric("coap_messages_total", "CoAP requests received as telemetry")),
      acknowledged(metrics.metric("coap_acknowledged_total", "Requests answered with 2.04 because they are safe")),
      refused(metrics.metric("coap_refused_total", "Requests that intake refused")),
      throttled(metrics.metric("coap_throttled_total", "Requests answered with 5.03 because the gateway is full")),
      limited(metrics.metric("coap_rate_limited_total", "Requests answered with 4.29: beyond coap.peer_rate")),
      repeated(metrics.metric("coap_repeated_total", "Retransmissions that were recognised")),
      not_mapped(metrics.metric("coap_not_mapped_total", "Requests that no device map allows")),
      observers(metrics.metric("coap_observers", "Observers of command resources")),
      observers_lost(metrics.metric("coap_observers_lost_total", "Observers dropped because they do not answer")),
      body_bytes(metrics.metric("coap_body_bytes", "Bytes of bodies that are not complete yet")),
      handshakes_refused(metrics.metric("coap_handshakes_refused_total", "DTLS handshakes of nobody we know")) {}

std::vector<std::string> queries_of(const Command& command) {
  std::vector<std::string> out{"id=" + command.wire_id()};
  if (command.kind == CommandKind::method) out.push_back("name=" + command.name);
  if (command.kind == CommandKind::desired) out.push_back("version=" + std::to_string(command.version));
  return out;
}

bool wanted(std::uint8_t no_response, Code code) {
  return (no_response >> ((static_cast<unsigned>(code) >> 5) - 1) & 1U) == 0;
}

Device::Device(DeviceMap map, std::size_t index, Shared& shared)
    : map_(std::move(map)), index_(index), shared_(shared), lane_(map_.command_done, shared.settings.max_body) {}

Response Device::show(Code code, const Command* command, std::optional<Block> wanted_part) {
  auto out = code_only(code);
  if (command == nullptr) return out;
  shown_ = command->body;
  out.content_format = content_format(command->content_type);
  out.location_queries = queries_of(*command);
  auto part = wanted_part.value_or(Block{0, false, kLargestExponent});
  part.exponent = std::min(part.exponent, kLargestExponent);
  out.payload = std::string_view(shown_).substr(std::min(part.offset(), shown_.size()), part.size());
  if (shown_.size() <= part.size()) return out;
  part.more = part.offset() + part.size() < shown_.size();
  out.etag = command->sequence;  // so that parts of two commands are not put together
  out.block2 = part.option();
  if (part.number == 0) out.size2 = static_cast<std::uint32_t>(shown_.size());
  return out;
}

Response Device::on_read(const Request& request, coap_session_t* session, CommandKind kind) {
  const auto* command = lane_.current() != nullptr && lane_.current()->kind == kind ? lane_.current() : nullptr;
  const bool later_part = request.block2 && request.block2->number > 0;
  if (later_part && (command == nullptr || request.block2->offset() >= command->body.size())) {
    return code_only(command == nullptr ? Code::incomplete : Code::bad_request);
  }
  auto out = show(Code::content, command, request.block2);
  if (request.accept && out.content_format && *request.accept != *out.content_format) {
    return code_only(Code::not_acceptable);
  }
  if (shared_.stopping || later_part) return out;
  if (request.observe == 0U) {
    observe(request.token, session, kind);
    out.observe = observe_;
    // One that waited to be asked for has been handed over with this.
    if (map_.keeps_commands && kind == CommandKind::message) lane_.on_notified();
  } else if (request.observe) {
    forget_observer(session, kind);
  }
  update_presence(shared_.clock.steady());
  return out;
}

bool Device::polls(const Request& request) const {
  return map_.keeps_commands && !request.observe && (!request.block2 || request.block2->number == 0) &&
         !shared_.stopping;
}

Response Device::on_poll(Question question) {
  if (const auto* command = shown(question)) {
    // It asks again: the answer was lost, or it has not done it yet.
    auto out = show(Code::content, command, question.block2);
    shared_.exchanges->answer(*question.poll, {Code::content, 0});
    lane_.on_notified();
    return out;
  }
  held_.push_back(std::move(question));
  on_asked();
  carry();
  return {};
}

Response Device::on_result(const Request& request) {
  const auto id = query_value(request, "id");
  if (!id) return code_only(Code::bad_request);
  if (!lane_.on_result(*id)) return code_only(Code::not_found);
  carry();
  return code_only(Code::changed);
}

Response Device::on_method_reply(const Request& request, std::string_view body) {
  const auto id = query_value(request, "id");
  if (!id) return code_only(Code::bad_request);
  std::optional<int> status;
  if (const auto said = query_value(request, "status")) {
    int number = 0;
    const auto [end, error] = std::from_chars(said->data(), said->data() + said->size(), number);
    if (error != std::errc() || end != said->data() + said->size() || number < 0) return code_only(Code::bad_request);
    status = number;
  }
  if (!lane_.on_result(*id, CommandKind::method, Outcome::answered(read_answer(body, status)))) {
    return code_only(Code::not_found);
  }
  carry();
  return code_only(Code::changed);
}

Response Device::on_reported(const Request& request, std::string_view body) {
  if (!body.empty()) {
    if (const auto taken = shared_.ingress->report(map_.id, body); !taken) {
      if (const auto suppressed = log_.allow(shared_.clock.steady())) {
        log::warning("report_refused", {{"adapter", "coap"},
                                        {"device", map_.id.text()},
                                        {"reason", taken.error().message},
                                        {"suppressed", *suppressed}});
      }
      return code_only(Code::bad_request);
    }
  }
  if (const auto id = query_value(request, "id")) {
    if (!lane_.on_result(*id, CommandKind::desired)) return code_only(Code::not_found);
    carry();
  }
  return code_only(Code::changed);
}

void Device::observe(const Token& token, coap_session_t* session, CommandKind kind) {
  // Registering again, with the same token or a new one, replaces the registration (RFC 7641 section 4.1).
  forget_observer(session, kind);
  const auto same = [kind](const Observer& observer) { return observer.kind == kind; };
  if (std::count_if(observers_.begin(), observers_.end(), same) >= static_cast<std::ptrdiff_t>(kObservers)) {
    observers_.erase(std::find_if(observers_.begin(), observers_.end(), same));
    --shared_.observers;
  }
  observers_.push_back({Session(session), token, kind});
  shared_.counters.observers.set(++shared_.observers);
}

std::size_t Device::forget_observer(coap_session_t* session, std::optional<CommandKind> kind) {
  const auto gone = std::erase_if(observers_, [session, kind](const Observer& observer) {
    return observer.session.get() == session && (!kind || observer.kind == *kind);
  });
  shared_.counters.observers.set(shared_.observers -= gone);
  return gone;
}

bool Device::observed(CommandKind kind) const {
  return std::any_of(observers_.begin(), observers_.end(),
                     [kind](const Observer& observer) { return observer.kind == kind; });
}

bool Device::takes_anything() const {
  return map_.takes_commands() || map_.takes_methods() || map_.takes_desired();
}

void Device::lose_observers(std::size_t lost) {
  if (lost == 0) return;
  shared_.counters.observers_lost.add(lost);
  log::info("device_observer_lost", {{"adapter", "coap"}, {"device", map_.id.text()}});
  update_presence(shared_.clock.steady());
}

bool Device::on_undelivered(coap_session_t* session, const Token& token) {
  const bool is_observer = std::any_of(observers_.begin(), observers_.end(), [&](const Observer& observer) {
    return observer.session.get() == session && observer.token == token;
  });
  if (is_observer) lose_observers(forget_observer(session));
  return is_observer;
}

void Device::on_closed(coap_session_t* session) {
  lose_observers(forget_observer(session));
}

void Device::deliver(Command command, Completion<Outcome> done) {
  const auto now = shared_.clock.steady();
  // One that comes late waits for the device's next request, as long as it may.
  const bool message = command.kind == CommandKind::message;
  const bool can_wait = map_.coap->piggyback || (map_.keeps_commands && !map_.coap->push && message);
  lane_.add(std::move(command), std::move(done), !shared_.stopping && (can_wait || reachable(now)), now);
  carry();
}

// Brings the command whose turn it is on its way.
void Device::carry() {
  if (map_.coap->piggyback) {
    while (!held_.empty() && (lane_.current() != nullptr || lane_.next() != nullptr)) {
      answer_first();
    }
  } else if (map_.coap->push) {
    if (const auto* command = pushing_ ? nullptr : lane_.next()) {
      pushing_ = command->sequence;
      push_ends_ = command->deadline;
      auto to = *map_.coap->push;
      if (command->kind == CommandKind::method) to.path = *map_.coap->method;
      if (command->kind == CommandKind::desired) to.path = *map_.coap->desired;
      shared_.pusher->begin(index_, to, *command);
      // on_pushed may have been called already.
      if (pushing_) lane_.on_notified();
    }
  } else {
    while (const auto* command = lane_.next()) {
      const bool kept = map_.keeps_commands && command->kind == CommandKind::message;
      if (kept && !held_.empty()) {
        answer_first();
        continue;
      }
      if (kept && !observed(command->kind)) break;  // it waits to be asked for
      if (!observed(command->kind)) {
        lane_.give_up(Outcome::away("the device does not observe that path"));
        continue;
      }
      if (!notify(*command)) {
        const auto lost = observers_.size();
        observers_.clear();
        shared_.counters.observers.set(shared_.observers -= lost);
        lose_observers(lost);
        update_presence(shared_.clock.steady());
        return;
      }
      lane_.on_notified();
    }
  }
  shared_.wake_at(due());
}

bool Device::notify(const Command& command) {
  observe_ = (observe_ + 1) & 0xffffff;
  auto notification = show(Code::content, &command, std::nullopt);
  notification.observe = observe_;
  bool sent = false;
  // Sending may tell of a lost observer at once, so the list is not walked while it may change.
  std::vector<std::pair<Session, Token>> to;
  to.reserve(observers_.size());
  for (const auto& observer : observers_) {
    if (observer.kind == command.kind) to.emplace_back(Session(observer.session.get()), observer.token);
  }
  for (const auto& [session, token] : to) sent |= send(session.get(), true, token, notification);
  return sent;
}

void Device::on_asked() {
  ++asked_;
  update_presence(shared_.clock.steady());
}

void Device::on_not_answered() {
  if (asked_ > 0) --asked_;
  update_presence(shared_.clock.steady());
}

void Device::answer(Question question) {
  held_.push_back(std::move(question));
  carry();
  if (!held_.empty()) tick(shared_.clock.steady());
}

// What the answer to this question shows.
const Command* Device::shown(const Question& question) const {
  const auto* command = lane_.current();
  return question.poll && command != nullptr && command->kind != CommandKind::message ? nullptr : command;
}

void Device::answer_first() {
  auto question = std::move(held_.front());
  held_.pop_front();
  answer_now(std::move(question));
}

void Device::answer_now(Question question) {
  const auto* command = shown(question);
  const auto part = question.block2 && question.block2->number == 0 ? question.block2 : std::nullopt;
  auto response = show(question.poll ? Code::content : Code::changed, command, part);
  if (question.poll) shared_.exchanges->answer(*question.poll, {response.code, 0});
  response.own_option = question.time;
  response.block1 = question.block1;
  const bool unwanted = command == nullptr && !wanted(question.no_response, response.code);
  const bool sent = !unwanted && send(question.session.get(), question.confirmable, question.token, response);
  if (sent && command != nullptr) lane_.on_notified();
  on_not_answered();
}

Response Device::on_repeated() {
  return show(Code::changed, map_.coap->piggyback ? lane_.current() : nullptr, std::nullopt);
}

Response Device::on_rest(const Request& request) {
  const auto* command = lane_.current();
  if (command == nullptr || request.block2->offset() >= command->body.size()) return code_only(Code::incomplete);
  return show(Code::changed, command, request.block2);
}

void Device::on_pushed(Outcome outcome, bool heard) {
  const auto now = shared_.clock.steady();
  const bool current = pushing_ && lane_.current() != nullptr && lane_.current()->sequence == *pushing_;
  pushing_.reset();
  if (heard) {
    last_heard_ = now;
  } else {
    push_again_ = now + kPushPause;
  }
  // Where it has a path for its answers, a 2.xx only says that the method was taken.
  const bool answer_follows = current && lane_.current()->kind == CommandKind::method && map_.coap->method_reply &&
                              outcome.kind == Outcome::Kind::accepted && outcome.response->status == 200;
  if (current && !answer_follows) lane_.on_pushed(std::move(outcome));
  update_presence(now);
  // The next one goes out from the tick, not from within this one's end.
  shared_.wake_at(now);
}

void Device::heard(const Peer& peer) {
  const auto now = shared_.clock.steady();
  last_heard_ = now;
  push_again_ = {};
  const bool moved = peer_ != peer;
  peer_ = peer;
  shared_.status.with([&](auto& status) {
    status[index_].last_heard = shared_.clock.wall();
    if (moved) status[index_].peer = to_text(peer);
  });
  if (map_.expect_every || map_.coap->push) update_presence(now);
}

bool Device::reachable(SteadyTime now) const {
  const auto& every = map_.expect_every;
  const bool lately = !every || (last_heard_ && now - *last_heard_ < 3 * *every);
  if (asked_ > 0) return true;
  if (map_.coap->piggyback) return false;
  if (map_.coap->push) return lately && push_again_ <= now;
  const auto main = map_.coap->command  ? CommandKind::message
                    : map_.coap->method ? CommandKind::method
                                        : CommandKind::desired;
  return lately && observed(main);
}

void Device::update_presence(SteadyTime now) {
  if (retired_) return;
  // Silence for so long: whoever observed is gone, whether it said so or not.
  if (stale_at() <= now) {
    const auto lost = observers_.size();
    observers_.clear();
    shared_.counters.observers.set(shared_.observers -= lost);
    shared_.counters.observers_lost.add(lost);
  }
  const auto presence = reachable(now) ? Presence::reachable : Presence::away;
  const bool changed = presence != presence_;
  presence_ = presence;
  shared_.wake_at(due());
  if (!changed) return;
  shared_.status.with([&](auto& status) { status[index_].presence = presence; });
  // One that asks for its commands is away between two requests, and still does what it was told.
  if (presence == Presence::away && !map_.coap->piggyback && !(map_.keeps_commands && !map_.coap->push)) {
    if (pushing_) {
      shared_.pusher->cancel(index_);
      pushing_.reset();
    }
    lane_.release_all("the device is away");
  }
  if (takes_anything()) shared_.ingress->presence(map_.id, presence);
}

SteadyTime Device::stale_at() const {
  if (!map_.expect_every || !last_heard_ || observers_.empty()) return kNever;
  return *last_heard_ + kStale * *map_.expect_every;
}

SteadyTime Device::due() const {
  auto out = lane_.deadline();
  if (!held_.empty()) out = std::min(out, held_.front().asked + shared_.settings.command_wait);
  const bool reachable = presence_ == Presence::reachable;
  if (reachable && map_.expect_every && last_heard_) out = std::min(out, *last_heard_ + 3 * *map_.expect_every);
  if (!reachable) out = std::min(out, stale_at());
  if (!reachable && map_.coap->push && push_again_ > SteadyTime{}) out = std::min(out, push_again_);
  if (pushing_) out = std::min(out, push_ends_);
  if (map_.coap->push && !pushing_ && lane_.waits()) out = SteadyTime{};
  return out;
}

void Device::tick(SteadyTime now) {
  lane_.tick(now);
  if (pushing_ && push_ends_ <= now) {
    // Its time is over; what its server still says is no longer asked for.
    shared_.pusher->cancel(index_);
    pushing_.reset();
    push_again_ = now + kPushPause;
  }
  while (!held_.empty() && held_.front().asked + shared_.settings.command_wait <= now) {
    answer_first();
  }
  if (push_again_ <= now) push_again_ = {};
  update_presence(now);
  carry();
}

void Device::answer_all() {
  while (!held_.empty()) {
    answer_first();
  }
}

void Device::follow(Device& before) {
  const auto path = [](const DeviceMap& map, CommandKind kind) {
    return kind == CommandKind::method    ? map.coap->method
           : kind == CommandKind::desired ? map.coap->desired
                                          : map.coap->command;
  };
  observe_ = before.observe_;
  last_heard_ = before.last_heard_;
  peer_ = before.peer_;
  for (auto& observer : std::exchange(before.observers_, {})) {
    const auto now = path(map_, observer.kind);
    if (now && now == path(before.map_, observer.kind)) {
      observers_.push_back(std::move(observer));
    } else {
      shared_.counters.observers.set(--shared_.observers);
    }
  }
}

void Device::retire(std::string_view why) {
  retired_ = true;
  if (std::exchange(pushing_, std::nullopt)) shared_.pusher->cancel(index_);
  shared_.counters.observers.set(shared_.observers -= observers_.size());
  observers_.clear();
  answer_all();
  lane_.release_all(why);
  const bool was = std::exchange(presence_, Presence::away) == Presence::reachable;
  shared_.status.with([&](auto& status) { status[index_].device.clear(); });
  if (was && takes_anything()) shared_.ingress->presence(map_.id, Presence::away);
}

void Device::close() {
  observers_.clear();
  held_.clear();
  asked_ = 0;
  lane_.release_all("the gateway is stopping");
  const bool was = presence_ == Presence::reachable;
  presence_ = Presence::away;
  shared_.status.with([&](auto& status) { status[index_].presence = Presence::away; });
  if (was && takes_anything()) shared_.ingress->presence(map_.id, Presence::away);
}

}  // namespace trunkline::coap
