// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/errors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace trunkline::hub {

namespace {

using Kind = LinkFault::Kind;

constexpr Milliseconds kLongestWait{3'600'000};

// A daily quota does not come back within seconds, but the hub's operator may raise it.
constexpr Milliseconds kQuotaWait{300'000};

struct Meaning {
  std::string_view condition;
  Kind kind;
  Milliseconds wait{0};  // longer than the usual back-off; 0: as its kind says
};

constexpr Meaning kConditions[] = {
    {"amqp:unauthorized-access", Kind::unauthorised},
    {"amqp:not-found", Kind::not_found},
    {"amqp:not-allowed", Kind::taken_over},  // also how some gateways say that another client holds the device
    {"amqp:internal-error", Kind::busy},
    {"amqp:resource-limit-exceeded", Kind::throttled},
    {"amqp:resource-locked", Kind::busy},
    {"amqp:resource-deleted", Kind::not_found},
    {"amqp:illegal-state", Kind::protocol},
    {"amqp:invalid-field", Kind::protocol},
    {"amqp:decode-error", Kind::protocol},
    {"amqp:frame-size-too-small", Kind::protocol},
    {"amqp:not-implemented", Kind::protocol},
    {"amqp:precondition-failed", Kind::protocol},
    {"amqp:link:message-size-exceeded", Kind::oversize},
    {"amqp:link:detach-forced", Kind::busy},
    {"amqp:link:stolen", Kind::taken_over},
    {"amqp:link:redirect", Kind::protocol},
    {"amqp:link:transfer-limit-exceeded", Kind::busy},
    {"amqp:connection:forced", Kind::transport},
    {"amqp:connection:framing-error", Kind::transport},
    {"amqp:connection:redirect", Kind::transport},
    {"amqp:session:window-violation", Kind::protocol},
    {"amqp:session:errant-link", Kind::protocol},
    {"amqp:session:handle-in-use", Kind::protocol},
    {"amqp:session:unattached-handle", Kind::protocol},
    {"com.microsoft:device-container-throttled", Kind::throttled},
    {"com.microsoft:timeout", Kind::busy},
    {"com.microsoft:server-busy", Kind::busy},
    {"com.microsoft:link-creation-conflict", Kind::taken_over},
    {"com.microsoft:message-lock-lost", Kind::busy},
    {"com.microsoft:argument-error", Kind::protocol},
    {"com.microsoft:argument-out-of-range", Kind::protocol},
    {"com.microsoft:precondition-failed", Kind::protocol},
    {"com.microsoft:device-already-exists", Kind::protocol},
    {"com.microsoft:iot-hub-not-found-error", Kind::not_found},
    {"com.microsoft:iot-hub-suspended", Kind::throttled, kLongestWait},
    {"com.microsoft:quota-exceeded", Kind::throttled, kQuotaWait},
    {"proton:io", Kind::transport},
    {"trunkline:io", Kind::transport},
    {"trunkline:watchdog", Kind::timeout},
    {"exception", Kind::protocol},
};

struct CodeMeaning {
  int first;
  int last;
  Kind kind;
  Milliseconds wait{0};
};

// The hub's own numbers (hub-amqp-protocol.md 9.2, the end); they say more than conditions that are used for anything.
// The first row that holds a number counts.
constexpr CodeMeaning kCodes[] = {
    {400027, 400027, Kind::taken_over},  // a new connection of the same identity came
    {400029, 400030, Kind::busy},        // service upgrade
    {401001, 401001, Kind::not_found},   // no such hub
    {401000, 401999, Kind::unauthorised},
    {403001, 403001, Kind::throttled, kLongestWait},  // the hub is suspended
    {403002, 403002, Kind::throttled, kQuotaWait},    // daily quota
    {403003, 403004, Kind::throttled},                // queue depth
    {403005, 403005, Kind::full},                     // tokens of the connection
    {403012, 403012, Kind::not_found},                // disabled
    {404104, 404104, Kind::busy},                     // closed remotely
    {404000, 404999, Kind::not_found},
    {409002, 409002, Kind::taken_over},
    {412002, 412002, Kind::busy},  // lock lost
    {413000, 413999, Kind::oversize},
    {429000, 429999, Kind::throttled},
    {503008, 503008, Kind::throttled},  // opens of receive links
    {500000, 504999, Kind::busy},
};

constexpr std::string_view kTakenOverText = "Another AMQP Client has opened";
constexpr std::string_view kTokenLimitText = "maximum number of tokens";

// errorCode of the JSON that descriptions usually are; 0 if there is none.
int error_code_of(std::string_view description) {
  constexpr std::string_view kKey = "\"errorCode\":";
  const auto key = description.find(kKey);
  if (key == std::string_view::npos) return 0;
  auto digits = description.substr(key + kKey.size());
  digits.remove_prefix(std::min(digits.find_first_not_of(" \""), digits.size()));
  int code = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), code);
  return code;
}

struct Verdict {
  Kind kind;
  std::optional<Milliseconds> wait;
};

std::optional<Milliseconds> usual_wait(Kind kind) {
  switch (kind) {
    case Kind::taken_over:  // two clients that both retry fast would steal the device from each other for ever
      return Milliseconds(60'000);
    case Kind::throttled:
      return Milliseconds(10'000);
    default:
      return std::nullopt;
  }
}

Verdict verdict(Kind kind, Milliseconds wait = {}) {
  return {kind, wait.count() > 0 ? wait : usual_wait(kind)};
}

// Nothing for a condition that no table holds.
std::optional<Verdict> verdict_on(const amqp::Condition& condition) {
  if (condition.description.find(kTakenOverText) != std::string::npos) return verdict(Kind::taken_over);
  if (condition.description.find(kTokenLimitText) != std::string::npos) return verdict(Kind::full);
  const auto code = error_code_of(condition.description);
  for (const auto& meaning : kCodes) {
    if (code >= meaning.first && code <= meaning.last) return verdict(meaning.kind, meaning.wait);
  }
  for (const auto& meaning : kConditions) {
    if (meaning.condition == condition.name) return verdict(meaning.kind, meaning.wait);
  }
  return std::nullopt;
}

LinkFault fault(const Verdict& verdict, const amqp::Condition& condition) {
  const auto asked = asked_to_wait(condition.info);
  return {verdict.kind, condition.name, condition.description, asked ? asked : verdict.wait};
}

Kind kind_of_status(int status) {
  switch (status) {
    case 400:
      return Kind::protocol;
    case 401:
    case 403:
      return Kind::unauthorised;
    case 404:
      return Kind::not_found;
    case 429:
      return Kind::throttled;
    default:
      return Kind::busy;
  }
}

}  // namespace

bool is_retry_key(std::string_view key) {
  constexpr std::array<std::string_view, 3> kKeys = {"retry-after", "Retry-After", "com.microsoft:retry-after"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

std::optional<Milliseconds> asked_to_wait(const std::map<std::string, std::string, std::less<>>& info) {
  const auto entry = std::find_if(info.begin(), info.end(), [](const auto& pair) { return is_retry_key(pair.first); });
  if (entry == info.end()) return std::nullopt;
  const auto& text = entry->second;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(seconds) || seconds < 0) {
    return std::nullopt;
  }
  const auto longest = std::chrono::duration<double>(kLongestWait).count();
  return std::chrono::ceil<Milliseconds>(std::chrono::duration<double>(std::min(seconds, longest)));
}

LinkFault device_fault(const amqp::Condition& condition) {
  if (!condition.set()) return {Kind::busy, "trunkline:closed", "the hub ended the link without a reason", {}};
  return fault(verdict_on(condition).value_or(verdict(Kind::busy)), condition);
}

LinkFault connection_fault(const amqp::Condition& condition) {
  if (!condition.set()) return {Kind::transport, "trunkline:closed", "the hub closed the connection", {}};
  // Proton's name for silence beyond our own idle timeout; on a link it is a quota.
  if (condition.description.find("idle-timeout") != std::string::npos) {
    return fault(verdict(Kind::transport), condition);
  }
  return fault(verdict_on(condition).value_or(verdict(Kind::transport)), condition);
}

LinkFault token_fault(int status, std::string_view description, std::optional<Milliseconds> asked) {
  const amqp::Condition condition{"trunkline:put-token-" + std::to_string(status), amqp::printable(description)};
  // A full connection is told as 500, and any other number of the hub's own says more than the status too.
  auto result = fault(verdict_on(condition).value_or(verdict(kind_of_status(status))), condition);
  if (asked) result.retry_after = asked;
  return result;
}

Outcome rejection(const amqp::Condition& condition) {
  const auto known = verdict_on(condition);
  if (!known) return Outcome::rejected(condition.name, condition.description);
  const auto why = condition.name + (condition.description.empty() ? "" : ": ") + condition.description;
  switch (known->kind) {
    case Kind::throttled:
      return Outcome::throttled(*fault(*known, condition).retry_after, why);
    case Kind::busy:
    case Kind::timeout:
    case Kind::transport: {
      Outcome outcome{.kind = Outcome::Kind::modified, .condition = condition.name, .description = why};
      outcome.retry_after = asked_to_wait(condition.info).value_or(Milliseconds(0));
      return outcome;
    }
    default:
      return Outcome::rejected(condition.name, condition.description);
  }
}

}  // namespace trunkline::hub
