// SPDX-License-Identifier: Apache-2.0
// The part of HubConnection that is $cbs: tokens, their answers, their expiry (hub-amqp-protocol section 3).
#include <proton/session.h>

#include "tests/hubsim/amqp_value.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxAnswers = 10'000;
constexpr std::chrono::hours kFar{24};

// Section 3.4: correlation-id, status-code and status-description, and nothing else.
std::string encode_answer(const std::string& correlation_id_raw, int status, std::string_view description,
                          Milliseconds retry_after) {
  std::string fields;
  for (int i = 0; i < 5; ++i) wire::put_null(fields);
  if (correlation_id_raw.empty()) {
    wire::put_null(fields);
  } else {
    fields.append(correlation_id_raw);
  }
  std::string entries;
  wire::put_string(entries, "status-code");
  wire::put_int(entries, status);
  wire::put_string(entries, "status-description");
  wire::put_string(entries, description);
  std::uint32_t count = 4;
  for (const auto& [name, value] : retry_info(retry_after)) {
    wire::put_string(entries, name);
    wire::put_int(entries, std::get<std::int32_t>(value));
    count += 2;
  }
  std::string out;
  wire::put_descriptor(out, 0x73);
  wire::put_list(out, 6, fields);
  wire::put_descriptor(out, 0x74);
  wire::put_map(out, count, entries);
  return out;
}

}  // namespace

const Grant* HubConnection::device_grant(const std::string& device) const {
  if (const auto own = grants_.find("device:" + device); own != grants_.end()) return &own->second;
  for (const auto& identity : policies_) {
    const auto& grant = grants_.at(identity);
    if (grant.device_connect && grant.covers(path_of(device))) return &grant;
  }
  return nullptr;
}

const Grant* HubConnection::service_grant(const std::string& path) const {
  for (const auto& identity : policies_) {
    const auto& grant = grants_.at(identity);
    if (grant.service_connect && grant.covers(path)) return &grant;
  }
  return nullptr;
}

void HubConnection::store(Grant grant) {
  const auto identity = grant.identity;
  if (const auto older = grants_.find(identity); older != grants_.end()) {
    expiries_.erase({older->second.expires, identity});
  }
  if (identity.starts_with("policy:")) policies_.insert(identity);
  expiries_.insert({grant.expires, identity});
  const auto left = std::min<Milliseconds>(grant.expires - hub_.wall() + hub_.limits().expiry_delay, kFar);
  hub_.arm(hub_.steady() + left);
  grants_[identity] = std::move(grant);
}

void HubConnection::tick(SteadyTime now, WallTime wall) {
  while (!expiries_.empty() && expiries_.begin()->first + hub_.limits().expiry_delay <= wall) {
    token_expired(std::string(expiries_.begin()->second));
  }
  if (!expiries_.empty()) {
    const auto left = expiries_.begin()->first + hub_.limits().expiry_delay - wall;
    hub_.arm(now + std::min<Milliseconds>(left, kFar));
  }
  if (blackhole_until_ != SteadyTime{}) {
    if (blackhole_until_ <= now) {
      end_blackhole();
    } else {
      hub_.arm(blackhole_until_);
    }
  }
  if (answers_.empty() || !pump_) return;
  if (answers_.begin()->first <= now) {
    pump_->wake();
  } else {
    hub_.arm(answers_.begin()->first);
  }
}

void HubConnection::expire_tokens(const std::string& device) {
  std::vector<std::string> identities;
  for (const auto& [identity, grant] : grants_) {
    if (device.empty() || identity == "device:" + device) identities.push_back(identity);
  }
  for (const auto& identity : identities) token_expired(identity);
}

void HubConnection::token_expired(const std::string& identity) {
  const auto grant = grants_.find(identity);
  if (grant == grants_.end()) return;
  expiries_.erase({grant->second.expires, identity});
  policies_.erase(identity);
  grants_.erase(grant);
  if (identity == plain_identity_) return close({"amqp:unauthorized-access", "Token Invalid."});
  std::vector<Link*> links;
  for (const auto& [handle, link] : links_) {
    if (link->identity == identity) links.push_back(link.get());
  }
  hub_.counters.expiry_detaches += links.size();
  for (auto* link : links) detach(*link, {"amqp:unauthorized-access", "Token Invalid."});
}

void HubConnection::on_put_token(Link&, pn_delivery_t* delivery, std::string_view payload) {
  amqp::accept(delivery);
  answer_token(payload);
  max_tokens_outstanding_ = std::max(max_tokens_outstanding_, answers_.size());
  hub_.counters.max_tokens_outstanding = std::max(hub_.counters.max_tokens_outstanding, max_tokens_outstanding_);
}

void HubConnection::answer_token(std::string_view payload) {
  const auto message = decode_message(payload);
  if (!message) return queue_answer({}, 400, message.error().message);
  const auto& id = message->message_id_raw;
  const auto* operation = find_property(*message, "operation");
  const auto* type = find_property(*message, "type");
  const auto* name = find_property(*message, "name");
  if (operation == nullptr || *operation != "put-token" || name == nullptr || name->empty() || type == nullptr ||
      !same_text(*type, "servicebus.windows.net:sastoken")) {
    return queue_answer(id, 400, "Malformed put-token request");
  }
  if (!hub_.throttles.tokens.take(hub_.steady())) {
    ++hub_.throttles.refused;
    return queue_answer(id, 429, "Throttled, please retry later", nullptr, hub_.throttles.retry_after);
  }
  auto grant = hub_.directory().check(message->body, hub_.wall());
  if (!grant) return queue_answer(id, grant.error().status, grant.error().text);
  const Faults* faults = nullptr;
  if (grant->identity.starts_with("device:")) {
    const auto device = hub_.device(grant->identity.substr(std::string_view("device:").size()));
    if (!device) return queue_answer(id, 404, "Device not found");
    faults = &device->faults;
    const auto status =
        device->faults.token_status != 0 ? device->faults.token_status : hub_.all_devices().token_status;
    if (status != 0) {
      ++device->tokens_refused;
      return queue_answer(id, status, "Refused by the test", faults);
    }
    ++device->tokens;
  }
  // Identities that left count on: what is limited is how many were ever let in.
  const auto limit = hub_.limits().tokens_per_connection;
  if (!identities_ever_.contains(grant->identity) && identities_ever_.size() >= limit) {
    return queue_answer(id, 500,
                        "The maximum number of tokens per connection (" + std::to_string(limit) + ") has been reached",
                        faults);
  }
  identities_ever_.insert(grant->identity);
  store(std::move(*grant));
  queue_answer(id, 200, "OK", faults);
}

// Only queued: it is sent once the request's disposition is on its way (section 14, 15a).
void HubConnection::queue_answer(const std::string& correlation_id_raw, int status, std::string_view description,
                                 const Faults* faults, Milliseconds retry_after) {
  hub_.changed();
  if (status == 401) ++hub_.counters.authorisation_errors;
  const auto& how = faults != nullptr && faults->cbs_mode != CbsMode::normal ? *faults : hub_.all_devices();
  if (how.cbs_mode == CbsMode::never) return;
  SteadyTime due{};
  if (how.cbs_mode == CbsMode::delay) {
    due = hub_.steady() + how.cbs_delay;
    hub_.arm(due);
  }
  answers_.emplace(due, encode_answer(correlation_id_raw, status, description, retry_after));
  if (answers_.size() > kMaxAnswers) close({"amqp:resource-limit-exceeded", "too many answers wait for credit"});
}

void HubConnection::send_answers() {
  while (!answers_.empty() && answer_link_ != nullptr && answers_.begin()->first <= hub_.steady()) {
    const auto number = ++last_answer_;
    std::string tag;
    for (int shift = 24; shift >= 0; shift -= 8) tag.push_back(static_cast<char>(number >> shift & 0xFF));
    if (!send(*answer_link_, tag, answers_.begin()->second)) return;
    answers_.erase(answers_.begin());
  }
}

}  // namespace trunkline::hubsim
