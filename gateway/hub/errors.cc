// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/errors.h"

#include <charconv>
#include <iterator>

namespace trunkline::hub {

namespace {

using Kind = LinkFault::Kind;

struct Meaning {
  std::string_view condition;
  Kind kind;
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
    {"com.microsoft:iot-hub-suspended", Kind::throttled},
    {"com.microsoft:quota-exceeded", Kind::throttled},
    {"proton:io", Kind::transport},
    {"trunkline:io", Kind::transport},
    {"trunkline:watchdog", Kind::timeout},
    {"exception", Kind::protocol},
};

struct CodeMeaning {
  int first;
  int last;
  Kind kind;
};

// The hub's own numbers (hub-amqp-protocol.md 9.2, the end); they say more than conditions that are used for anything.
constexpr CodeMeaning kCodes[] = {
    {400027, 400027, Kind::taken_over},  // a new connection of the same identity came
    {400029, 400030, Kind::busy},        // service upgrade
    {401000, 401999, Kind::unauthorised},
    {403002, 403005, Kind::throttled},  // daily quota, queue depth, tokens of the
                                        // connection
    {403012, 403012, Kind::not_found},  // disabled
    {404000, 404999, Kind::not_found},
    {409002, 409002, Kind::taken_over},
    {413000, 413999, Kind::oversize},
    {429000, 429999, Kind::throttled},
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

Kind kind_of(const amqp::Condition& condition, Kind unknown) {
  if (condition.description.find(kTakenOverText) != std::string::npos) return Kind::taken_over;
  const auto code = error_code_of(condition.description);
  for (const auto& meaning : kCodes) {
    if (code >= meaning.first && code <= meaning.last) return meaning.kind;
  }
  for (const auto& meaning : kConditions) {
    if (meaning.condition == condition.name) return meaning.kind;
  }
  return unknown;
}

LinkFault fault(Kind kind, std::string condition, std::string description) {
  return {kind, std::move(condition), std::move(description), retry_hint(kind)};
}

}  // namespace

std::optional<Milliseconds> retry_hint(Kind kind) {
  switch (kind) {
    case Kind::taken_over:  // two clients that both retry fast would steal the device from each other for ever
      return Milliseconds(60'000);
    case Kind::throttled:
      return Milliseconds(10'000);
    default:
      return std::nullopt;
  }
}

LinkFault device_fault(const amqp::Condition& condition) {
  if (!condition.set()) return fault(Kind::busy, "trunkline:closed", "the hub ended the link without a reason");
  return fault(kind_of(condition, Kind::busy), condition.name, condition.description);
}

LinkFault connection_fault(const amqp::Condition& condition) {
  if (!condition.set()) return fault(Kind::transport, "trunkline:closed", "the hub closed the connection");
  // Proton's name for silence beyond our own idle timeout; on a link it is a quota.
  if (condition.description.find("idle-timeout") != std::string::npos) {
    return fault(Kind::transport, condition.name, condition.description);
  }
  return fault(kind_of(condition, Kind::transport), condition.name, condition.description);
}

LinkFault token_fault(int status, std::string_view description) {
  const auto text = amqp::printable(description);
  const auto condition = "trunkline:put-token-" + std::to_string(status);
  // A 5xx for a permanent condition: this connection holds as many tokens as it may (hub-amqp-protocol.md 3.4).
  if (text.find(kTokenLimitText) != std::string::npos) {
    return {Kind::throttled, condition, text, Milliseconds(600'000)};
  }
  switch (status) {
    case 400:
      return fault(Kind::protocol, condition, text);
    case 401:
    case 403:
      return fault(Kind::unauthorised, condition, text);
    case 404:
      return fault(Kind::not_found, condition, text);
    case 429:
      return fault(Kind::throttled, condition, text);
    default:
      return fault(Kind::busy, condition, text);
  }
}

}  // namespace trunkline::hub
