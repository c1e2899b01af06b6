// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/broker_watch.h"

#include <algorithm>

#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "gateway/mapping/template.h"
#include "gateway/mapping/topic_pattern.h"

namespace trunkline::mqtt {

namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::seconds kFailurePeriod{60};
constexpr std::chrono::seconds kChangePatience{3};
constexpr Milliseconds kLook{200};
constexpr std::chrono::seconds kReplyPeriod{10};
constexpr Backoff::Limits kRetry{Milliseconds(1000), Milliseconds(1000), Milliseconds(30'000)};

// MQTT 5.0 section 2.4.
constexpr unsigned kFirstFailure = 0x80;
constexpr unsigned kNotAuthorized = 0x87;
constexpr unsigned kTopicNameInvalid = 0x90;
constexpr unsigned kPacketTooLarge = 0x95;
constexpr unsigned kPayloadFormatInvalid = 0x99;

// What the same broker would refuse again is rejected, the rest may work later (C-01).
Outcome refusal(unsigned reason, const std::string& why) {
  switch (reason) {
    case kNotAuthorized:
      return Outcome::rejected("amqp:unauthorized-access", why);
    case kTopicNameInvalid:
    case kPayloadFormatInvalid:
      return Outcome::rejected("amqp:not-allowed", why);
    case kPacketTooLarge:
      return Outcome::rejected("amqp:link:message-size-exceeded", why);
    default:
      return Outcome::released(why);
  }
}

// Where a command of that kind goes.
const std::optional<std::string>& topic_of(const MqttMap& map, CommandKind kind) {
  switch (kind) {
    case CommandKind::method:
      return map.method;
    case CommandKind::desired:
      return map.desired;
    case CommandKind::message:
      break;
  }
  return map.command;
}

// The command's body in the frame that the device wants. Names that the command says come from the hub's side, which is
// trusted to send any body; within JSON they are kept from breaking out of their quotes.
std::string wrapped(const DeviceMap& device, const Command& command) {
  auto values = std::vector<Property>{{"payload", command.body},
                                      {"object", command.body.empty() ? "{}" : command.body},
                                      {"id", command.wire_id()},
                                      {"device", device.id.text()}};
  for (const auto& own : device.captures) values.push_back(own);
  for (const auto& said : command.properties) {
    auto value = said.value;
    std::erase_if(value, [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
    values.push_back({said.name, std::move(value)});
  }
  const auto& text = device.mqtt->command_payload;
  const auto names = Template::names_in(text);
  const std::vector<std::string_view> allowed(names.begin(), names.end());
  std::vector<Property> once;
  for (auto& value : values) {
    if (find_capture(once, value.name) == nullptr) once.push_back(std::move(value));
  }
  const auto frame = Template::parse(text, allowed);
  return frame ? frame->fill(once) : std::string();
}

}  // namespace

BrokerWatch::BrokerWatch(std::string adapter, std::string broker, Rosters& rosters, bool retained_come_again,
                         bool can_tell, const Clock& clock, Metrics& metrics, EventQueue& events, JobQueue& jobs,
                         ArrivalGate& gate, Ingress& ingress)
    : adapter_(std::move(adapter)),
      broker_(std::move(broker)),
      rosters_(rosters),
      roster_(rosters.now.load()),
      asked_(roster_),
      retained_come_again_(retained_come_again),
      can_tell_(can_tell),
      commands_apart_(can_tell && roster_->any_proved_by_puback()),
      clock_(clock),
      events_(events),
      jobs_(jobs),
      gate_(gate),
      ingress_(ingress),
      connections_(metrics.metric("mqtt_connections_total", "Connections to brokers that came to work")),
      replies_unmatched_(
          metrics.metric("mqtt_replies_unmatched_total", "Command replies that answer nothing waited for")),
      desk_({}),
      presence_({}),
      backoff_(kRetry, random_seed()),
      failure_lines_(kFailurePeriod),
      reply_lines_(kReplyPeriod),
      now_(clock.steady()),
      retry_at_(now_) {
  for (std::size_t i = 0; i < roster_->devices.size(); ++i) set_device(i);
}

void BrokerWatch::set_device(std::size_t place) {
  const auto& device = roster_->devices[place];
  desk_.set_device(place, device.command_done, device.mqtt && device.mqtt->reported);
  presence_.set_device(place, device.mqtt.has_value(), device.expect_every);
}

void BrokerWatch::run() {
  std::vector<Event> events;
  auto deadline = tick();
  for (;;) {
    events_.take(events, deadline);
    now_ = clock_.steady();
    for (auto& event : events) {
      std::visit([this](auto& one) { on(one); }, event);
    }
    deadline = tick();
    if (stop_by_ && (desk_.empty() || now_ >= *stop_by_)) break;
  }
  desk_.release_all("the gateway is stopping");
  const auto stopping = fail(ErrorCode::unavailable, "the gateway is stopping");
  finish_change(stopping);
  if (next_roster_) next_roster_->done(stopping);
  presence_.set_broker(false);
  tick_presence();
  // What waits here unanswered says "abandoned" when it is dropped.
  events_.close(events);
  for (auto& event : events) {
    if (auto* came = std::get_if<RosterCame>(&event)) came->done(stopping);
  }
  gate_.stop(*stop_by_);
  jobs_.push(Quit{});
  status_.with([](LinkStatus& status) { status = {false, "stopped"}; });
}

void BrokerWatch::on(CommandCame& event) {
  if (!roster_->holds(event.device)) {
    event.done(Outcome::released("the device's map has just been taken away"));
  } else if (!topic_of(*roster_->devices[event.device].mqtt, event.command.kind)) {
    event.done(Outcome::rejected("amqp:not-implemented", "the device's map has no such topic"));
  } else if (stop_by_) {
    event.done(Outcome::released("the gateway is stopping"));
  } else if (link_ != Link::up) {
    event.done(Outcome::released("the broker is away"));
  } else if (presence_.of(event.device) == Presence::away) {
    event.done(Outcome::away("the device is away"));
  } else if (auto topic = topic_for(event.device, event.command); !topic) {
    event.done(Outcome::rejected("amqp:not-allowed", "no command topic: " + topic.error().message));
  } else {
    desk_.deliver(event.device, std::move(event.command), std::move(event.done));
  }
}

void BrokerWatch::on(const SessionUp& event) {
  if (event.epoch != epoch_ || link_ != Link::connecting) return;
  session_present_ = event.session_present;
  refused_topic_.clear();
  asked_ = roster_;
  const auto& topics = roster_->topics.subscriptions();
  answers_missing_ = topics.size() + (commands_apart_ ? 1 : 0);
  link_ = Link::subscribing;
  // Counted from when the call was made: it may have to wait for a message that is held.
  patience_ = kNever;
  // MQTT 3.1.1 sends every retained message again for a subscription that is repeated; the session has them all.
  if (topics.empty() || (retained_come_again_ && session_present_ && subscribed_)) {
    become_up();
    return;
  }
  Subscribe all{epoch_, {}, {}, commands_apart_};
  for (const auto& topic : topics) all.wanted.emplace_back(all.wanted.size(), topic);
  jobs_.push(std::move(all));
}

void BrokerWatch::on(const SessionLost& event) {
  if (event.epoch == epoch_ && link_ != Link::idle) lose(event.why);
}

void BrokerWatch::on(const SubscribeSent& event) {
  if (event.epoch == epoch_ && (link_ == Link::subscribing || changing_)) patience_ = now_ + kPatience;
}

void BrokerWatch::on(const SubscribeAnswered& event) {
  if (event.epoch != epoch_ || (link_ != Link::subscribing && !changing_)) return;
  if (event.reason >= kFirstFailure) {
    auto& refused = changing_ ? change_refused_ : refused_topic_;
    refused = asked_->topics.subscriptions()[event.place].filter;
    log::error("subscription_refused", {{"adapter", adapter_}, {"topic", refused}, {"reason", event.reason}});
  }
  answered();
}

void BrokerWatch::on(const CommandsReady& event) {
  if (event.epoch == epoch_ && (link_ == Link::subscribing || changing_)) answered();
}

void BrokerWatch::answered() {
  if (answers_missing_ > 0) --answers_missing_;
  if (answers_missing_ > 0) return;
  if (!changing_) {
    subscribed_ = refused_topic_.empty();
    return become_up();
  }
  if (change_refused_.empty()) return finish_change({});
  subscribed_ = false;
  // Nobody waits for a change that was put off, so status has to say it.
  if (!changed_) {
    refused_topic_ = change_refused_;
    show_up();
  }
  finish_change(
      fail(ErrorCode::denied, "the broker refuses the subscription to " + std::exchange(change_refused_, {})));
}

// What is on its way in the broker's answers belongs to the roster that asked.
void BrokerWatch::on(RosterCame& event) {
  if (link_ == Link::subscribing || changed_) {
    next_roster_ = std::move(event);
  } else {
    take_roster(std::move(event));
  }
}

void BrokerWatch::take_roster(RosterCame event) {
  const auto before = std::exchange(roster_, std::move(event.roster));
  if (link_ == Link::up && !rosters_.before.load()) rosters_.before.store(before);
  rosters_.now.store(roster_);
  for (std::size_t i = 0; i < roster_->devices.size(); ++i) {
    const bool same = i < before->devices.size() && before->devices[i].written == roster_->devices[i].written &&
                      before->holds(i) == roster_->holds(i) && roster_->devices[i].written != nullptr;
    if (same) continue;
    desk_.release_device(i, "the device's map was changed");
    set_device(i);
  }
  // While the broker is away everything is subscribed to when it comes back.
  if (link_ != Link::up) {
    commands_apart_ = can_tell_ && (commands_apart_ || roster_->any_proved_by_puback());
    subscribed_ = false;
    return event.done({});
  }
  if (changing_) return event.done({});  // put off, as the one before it
  changed_ = std::move(event.done);
  subscribe_to_difference();
}

void BrokerWatch::subscribe_to_difference() {
  const auto before = std::exchange(asked_, roster_);
  const bool apart_before = commands_apart_;
  commands_apart_ = can_tell_ && (commands_apart_ || roster_->any_proved_by_puback());
  const auto& old = before->topics.subscriptions();
  const auto& now = roster_->topics.subscriptions();
  Subscribe job{epoch_, {}, {}, commands_apart_};
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (std::find(old.begin(), old.end(), now[i]) == old.end()) job.wanted.emplace_back(i, now[i]);
  }
  for (const auto& one : old) {
    const bool kept =
        std::any_of(now.begin(), now.end(), [&](const auto& other) { return other.filter == one.filter; });
    if (!kept) to_drop_.push_back(one.filter);
  }
  answers_missing_ = job.wanted.size() + (commands_apart_ && !apart_before ? 1 : 0);
  changing_ = true;
  put_off_at_ = now_ + kChangePatience;
  if (answers_missing_ == 0) return finish_change({});
  jobs_.push(std::move(job));
}

void BrokerWatch::tell_changed(Result<void> result) {
  if (auto done = std::exchange(changed_, nullptr)) done(std::move(result));
}

void BrokerWatch::finish_change(Result<void> result) {
  if (asked_ == roster_ || link_ != Link::up) rosters_.before.store(nullptr);
  if (std::exchange(changing_, false) && link_ == Link::up) patience_ = kNever;
  auto dropped = std::exchange(to_drop_, {});
  if (result && link_ == Link::up && !dropped.empty()) {
    jobs_.push(Subscribe{epoch_, {}, std::move(dropped), commands_apart_});
  }
  tell_changed(std::move(result));
}

void BrokerWatch::on(const PublishHanded& event) {
  desk_.handed(event.ticket);
}

void BrokerWatch::on(const PublishAnswered& event) {
  desk_.acknowledged(event.ticket);
}

void BrokerWatch::on(const PublishFailed& event) {
  desk_.failed(event.ticket, refusal(event.reason, event.why));
}

void BrokerWatch::on(const ReplyCame& event) {
  const auto verdict = desk_.reply(event.device, event.reply);
  if (verdict == ReplyVerdict::done) return;
  replies_unmatched_.add();
  if (const auto more = reply_lines_.allow(now_)) {
    log::warning("reply_unmatched", {{"adapter", adapter_},
                                     {"device", roster_->devices[event.device].id.text()},
                                     {"late", verdict == ReplyVerdict::late},
                                     {"suppressed", *more}});
  }
}

void BrokerWatch::on(const ReportCame& event) {
  desk_.reported(event.device, event.patch);
}

void BrokerWatch::on(const PresenceSaid& event) {
  for (const auto device : event.devices) {
    if (event.bridge) {
      presence_.bridge_said(device, event.online);
    } else {
      presence_.said(device, event.online);
    }
  }
}

void BrokerWatch::on(const HeardAgain& event) {
  auto& note = *roster_->notes[event.device];
  note.sign_of_life_sent.store(false);
  presence_.heard(event.device, SteadyTime(SteadyTime::duration(note.heard.load(std::memory_order_relaxed))));
}

void BrokerWatch::on(const StopAsked& event) {
  stop_by_ = event.deadline;
}

SteadyTime BrokerWatch::tick() {
  // While a message is held nobody speaks to the broker, and that may last as long as the hub is away: the change holds
  // from now on, and the broker hears of it later.
  if (changed_ && now_ >= put_off_at_ && gate_.holding()) {
    log::warning("subscription_put_off", {{"adapter", adapter_}, {"reason", "no room: a message is held"}});
    tell_changed({});
  }
  if (next_roster_ && link_ != Link::subscribing && !changed_) take_roster(*std::exchange(next_roster_, std::nullopt));
  if (link_ == Link::up && !changing_ && asked_ != roster_) subscribe_to_difference();
  tick_link();
  tick_presence();
  auto next = desk_.tick(now_);
  send_orders();
  gate_.nudge();
  next = std::min({next, presence_.deadline(), patience_, stop_by_.value_or(kNever)});
  if (changed_) next = std::min(next, std::max(put_off_at_, now_ + kLook));
  return link_ == Link::idle && !stop_by_ ? std::min(next, retry_at_) : next;
}

void BrokerWatch::tick_link() {
  if (link_ == Link::idle && !stop_by_ && now_ >= retry_at_) {
    ++epoch_;
    link_ = Link::connecting;
    patience_ = now_ + kPatience;
    jobs_.push(OpenSession{epoch_});
    return;
  }
  if (now_ < patience_) return;
  if (gate_.holding()) {
    // Paho does nothing at all meanwhile, and it is we who keep it from that.
    patience_ = now_ + kPatience;
  } else {
    lose("the broker does not answer");
  }
}

void BrokerWatch::tick_presence() {
  if (now_ >= presence_.deadline()) {
    for (std::size_t i = 0; i < roster_->devices.size(); ++i) {
      const auto heard = roster_->notes[i]->heard.load(std::memory_order_relaxed);
      if (heard != 0) presence_.heard(i, SteadyTime(SteadyTime::duration(heard)));
    }
  }
  for (const auto& [device, presence] : presence_.tick(now_)) {
    roster_->notes[device]->reachable.store(presence == Presence::reachable, std::memory_order_relaxed);
    if (presence == Presence::away) desk_.release_device(device, "the device is away");
    ingress_.presence(roster_->devices[device].id, presence);
  }
}

void BrokerWatch::send_orders() {
  for (auto& order : desk_.take_orders()) {
    if (order.withdrawn->load(std::memory_order_acquire)) continue;
    const auto& device = roster_->devices[order.device];
    if (!device.mqtt) continue;
    const bool puback_counts = order.command.kind == CommandKind::message
                                   ? device.command_done == CommandDone::acknowledged
                                   : order.command.kind == CommandKind::desired && !device.mqtt->reported;
    auto message = to_outgoing(order);
    jobs_.push(Publish{epoch_, order.ticket, std::move(message), std::move(order.withdrawn),
                       puback_counts && commands_apart_});
  }
}

void BrokerWatch::lose(const std::string& why) {
  const bool worked = link_ == Link::up;
  link_ = Link::idle;
  patience_ = kNever;
  jobs_.push(CloseSession{epoch_});
  const auto delay = backoff_.next();
  retry_at_ = now_ + delay;
  // All of it is subscribed to with the next connection.
  subscribed_ = subscribed_ && !changing_ && asked_ == roster_;
  finish_change({});
  presence_.set_broker(false);
  desk_.release_all("the broker is away");
  if (const auto more = failure_lines_.allow(now_); more || worked) {
    log::warning(worked ? "broker_lost" : "broker_unreachable", {{"adapter", adapter_},
                                                                 {"peer", broker_},
                                                                 {"error", why},
                                                                 {"attempt", backoff_.attempt()},
                                                                 {"suppressed", more.value_or(0)}});
  }
  const auto prefix = was_up_ ? "connection to " + broker_ + " lost: " : "cannot connect to " + broker_ + ": ";
  was_up_ = was_up_ && worked;
  status_.with([&](LinkStatus& status) { status = {false, prefix + why}; });
}

void BrokerWatch::become_up() {
  link_ = Link::up;
  was_up_ = true;
  patience_ = kNever;
  backoff_.reset();
  connections_.add();
  presence_.set_broker(true);
  log::info("broker_connected",
            {{"adapter", adapter_}, {"peer", broker_}, {"session_present", session_present_}, {"epoch", epoch_}});
  show_up();
}

void BrokerWatch::show_up() {
  auto detail = "connected to " + broker_ + (session_present_ ? ", session kept" : ", session new");
  if (!refused_topic_.empty()) detail += ", but it refuses the subscription to " + refused_topic_;
  status_.with([&](LinkStatus& status) { status = {refused_topic_.empty(), detail}; });
}

// What varies in a command's topic is an application property of the command.
Result<std::string> BrokerWatch::topic_for(std::size_t device, const Command& command) const {
  const auto pattern = TopicPattern::parse(*topic_of(*roster_->devices[device].mqtt, command.kind));
  if (!pattern) return fail(pattern.error());
  if (command.kind != CommandKind::method) return pattern->fill(command.properties);
  return pattern->fill({{"name", command.name}, {"id", command.wire_id()}});
}

Outgoing BrokerWatch::to_outgoing(PublishOrder& order) const {
  const auto& map = *roster_->devices[order.device].mqtt;
  auto& command = order.command;
  Outgoing out;
  out.topic = topic_for(order.device, command).value_or(std::string());
  out.correlation = command.wire_id();
  const bool message = command.kind == CommandKind::message;
  out.payload = !message || map.command_payload.empty() ? std::move(command.body)
                                                        : wrapped(roster_->devices[order.device], command);
  out.content_type = std::move(command.content_type);
  if (command.kind != CommandKind::desired) {
    out.response_topic = (message ? map.command_reply : map.method_reply).value_or(std::string());
  }
  out.properties = std::move(command.properties);
  if (command.kind == CommandKind::method) out.properties.push_back({"method", command.name});
  if (command.kind == CommandKind::desired) out.properties.push_back({"version", std::to_string(command.version)});
  // A command that is answered as released must not reach the device later from the broker's queue.
  if (command.deadline != kNever) out.expiry = std::chrono::duration_cast<Milliseconds>(command.deadline - now_);
  if (command.expires) {
    const auto left = std::chrono::duration_cast<Milliseconds>(*command.expires - clock_.wall());
    out.expiry = std::min(left, out.expiry.value_or(left));
  }
  return out;
}

}  // namespace trunkline::mqtt
