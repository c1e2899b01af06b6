// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/errors.h"

#include "tests/support/catch.h"

using namespace trunkline;
using Kind = LinkFault::Kind;
using hub::connection_fault;
using hub::device_fault;
using hub::token_fault;

namespace {

// What a rejection of a message becomes.
enum class Fate { rejected, throttled, attempt };

Fate fate(const amqp::Condition& condition) {
  const auto outcome = hub::rejection(condition);
  if (outcome.kind == Outcome::Kind::rejected) return Fate::rejected;
  if (outcome.kind == Outcome::Kind::modified) return Fate::attempt;
  CHECK(outcome.kind == Outcome::Kind::released);
  CHECK(outcome.retry_after > Milliseconds(0));
  return Fate::throttled;
}

std::string coded(int code) {
  return R"({"errorCode":)" + std::to_string(code) + R"(,"trackingId":"t","message":"m"})";
}

}  // namespace

TEST_CASE("each condition of the error table says what to do with the device and with a message", "[I-01][D-04]") {
  struct Row {
    const char* condition;
    Kind kind;
    Fate fate;
  };
  // hub-amqp-protocol.md 9.2, row by row.
  const Row rows[] = {
      {"amqp:unauthorized-access", Kind::unauthorised, Fate::rejected},
      {"amqp:not-found", Kind::not_found, Fate::rejected},
      {"amqp:not-allowed", Kind::taken_over, Fate::rejected},
      {"amqp:internal-error", Kind::busy, Fate::attempt},
      {"amqp:resource-limit-exceeded", Kind::throttled, Fate::throttled},
      {"amqp:link:message-size-exceeded", Kind::oversize, Fate::rejected},
      {"amqp:link:detach-forced", Kind::busy, Fate::attempt},
      {"amqp:link:stolen", Kind::taken_over, Fate::rejected},
      {"amqp:link:redirect", Kind::protocol, Fate::rejected},
      {"amqp:link:transfer-limit-exceeded", Kind::busy, Fate::attempt},
      {"amqp:connection:forced", Kind::transport, Fate::attempt},
      {"amqp:connection:framing-error", Kind::transport, Fate::attempt},
      {"amqp:session:window-violation", Kind::protocol, Fate::rejected},
      {"amqp:session:errant-link", Kind::protocol, Fate::rejected},
      {"amqp:session:handle-in-use", Kind::protocol, Fate::rejected},
      {"amqp:session:unattached-handle", Kind::protocol, Fate::rejected},
      {"amqp:resource-locked", Kind::busy, Fate::attempt},
      {"amqp:resource-deleted", Kind::not_found, Fate::rejected},
      {"amqp:illegal-state", Kind::protocol, Fate::rejected},
      {"amqp:invalid-field", Kind::protocol, Fate::rejected},
      {"amqp:decode-error", Kind::protocol, Fate::rejected},
      {"amqp:frame-size-too-small", Kind::protocol, Fate::rejected},
      {"amqp:not-implemented", Kind::protocol, Fate::rejected},
      {"amqp:precondition-failed", Kind::protocol, Fate::rejected},
      {"com.microsoft:device-container-throttled", Kind::throttled, Fate::throttled},
      {"com.microsoft:timeout", Kind::busy, Fate::attempt},
      {"com.microsoft:link-creation-conflict", Kind::taken_over, Fate::rejected},
      {"com.microsoft:message-lock-lost", Kind::busy, Fate::attempt},
      {"com.microsoft:argument-error", Kind::protocol, Fate::rejected},
      {"com.microsoft:argument-out-of-range", Kind::protocol, Fate::rejected},
      {"com.microsoft:iot-hub-not-found-error", Kind::not_found, Fate::rejected},
      {"com.microsoft:iot-hub-suspended", Kind::throttled, Fate::throttled},
      {"com.microsoft:quota-exceeded", Kind::throttled, Fate::throttled},
      {"com.microsoft:precondition-failed", Kind::protocol, Fate::rejected},
      {"com.microsoft:device-already-exists", Kind::protocol, Fate::rejected},
      {"com.microsoft:server-busy", Kind::busy, Fate::attempt},
      {"proton:io", Kind::transport, Fate::attempt},
      {"com.example:new-in-2030", Kind::busy, Fate::rejected},
  };
  for (const auto& row : rows) {
    INFO(row.condition);
    const amqp::Condition condition{row.condition, "why"};
    const auto fault = device_fault(condition);
    CHECK(to_string(fault.kind) == to_string(row.kind));
    CHECK(fault.condition == row.condition);
    CHECK(fault.description == "why");
    CHECK(fate(condition) == row.fate);
  }
}

TEST_CASE("each number of the hub says more than its condition", "[D-04]") {
  struct Row {
    int code;
    Kind kind;
    Fate fate;
  };
  const Row rows[] = {
      {400027, Kind::taken_over, Fate::rejected},   {400029, Kind::busy, Fate::attempt},
      {400030, Kind::busy, Fate::attempt},          {401001, Kind::not_found, Fate::rejected},
      {401002, Kind::unauthorised, Fate::rejected}, {401003, Kind::unauthorised, Fate::rejected},
      {403001, Kind::throttled, Fate::throttled},   {403002, Kind::throttled, Fate::throttled},
      {403003, Kind::throttled, Fate::throttled},   {403004, Kind::throttled, Fate::throttled},
      {403005, Kind::full, Fate::rejected},         {403012, Kind::not_found, Fate::rejected},
      {404001, Kind::not_found, Fate::rejected},    {404006, Kind::not_found, Fate::rejected},
      {404103, Kind::not_found, Fate::rejected},    {404104, Kind::busy, Fate::attempt},
      {409002, Kind::taken_over, Fate::rejected},   {412002, Kind::busy, Fate::attempt},
      {413001, Kind::oversize, Fate::rejected},     {429001, Kind::throttled, Fate::throttled},
      {429005, Kind::throttled, Fate::throttled},   {500001, Kind::busy, Fate::attempt},
      {500008, Kind::busy, Fate::attempt},          {503005, Kind::busy, Fate::attempt},
      {503008, Kind::throttled, Fate::throttled},
  };
  for (const auto& row : rows) {
    INFO(row.code);
    const amqp::Condition condition{"amqp:not-implemented", coded(row.code)};
    CHECK(to_string(device_fault(condition).kind) == to_string(row.kind));
    CHECK(fate(condition) == row.fate);
    CHECK(to_string(token_fault(401, coded(row.code)).kind) == to_string(row.kind));
  }
}

TEST_CASE("the hub's wish to wait is taken from its info, whatever its spelling and type") {
  const auto wait = [](std::map<std::string, std::string, std::less<>> info) {
    const amqp::Condition condition{"com.microsoft:device-container-throttled", "", std::move(info)};
    CHECK(hub::rejection(condition).retry_after == device_fault(condition).retry_after.value_or(Milliseconds(-1)));
    return *device_fault(condition).retry_after;
  };
  const auto usual = wait({});
  CHECK(wait({{"retry-after", "7"}}) == Milliseconds(7'000));
  CHECK(wait({{"Retry-After", "1.500000"}}) == Milliseconds(1'500));
  CHECK(wait({{"com.microsoft:retry-after", "0"}}) == Milliseconds(0));
  CHECK(wait({{"retry-after", "1e300"}}) == Milliseconds(3'600'000));
  for (const auto* text : {"-1", "nan", "inf", "soon", "7 s", ""}) {
    INFO(text);
    CHECK(wait({{"retry-after", text}}) == usual);
  }
  CHECK(wait({{"other", "7"}}) == usual);
  CHECK(device_fault({"amqp:internal-error", "", {{"retry-after", "3"}}}).retry_after == Milliseconds(3'000));
  CHECK(hub::rejection({"amqp:internal-error", "", {{"retry-after", "3"}}}).retry_after == Milliseconds(3'000));
  CHECK(token_fault(429, "slow down", Milliseconds(4'000)).retry_after == Milliseconds(4'000));
}

TEST_CASE("a quota and a suspended hub are not asked again within seconds") {
  CHECK(device_fault({"amqp:resource-limit-exceeded", coded(403002)}).retry_after >= Milliseconds(60'000));
  CHECK(device_fault({"com.microsoft:iot-hub-suspended", ""}).retry_after >= Milliseconds(600'000));
}

TEST_CASE("the hub's text and number say more than its condition") {
  CHECK(device_fault({"amqp:internal-error", "Another AMQP Client has opened a Receive Link."}).kind ==
        Kind::taken_over);
  CHECK(device_fault({"amqp:not-allowed", R"({"errorCode":403012,"message":"Device disabled"})"}).kind ==
        Kind::not_found);
  CHECK(device_fault({"amqp:internal-error", R"({"errorCode": 429001})"}).kind == Kind::throttled);
  CHECK(device_fault({"amqp:internal-error", R"({"errorCode":"409002"})"}).kind == Kind::taken_over);
  CHECK(device_fault({"amqp:not-found", R"({"errorCode":)"}).kind == Kind::not_found);
  CHECK(device_fault({"amqp:not-found", R"({"errorCode":99999999999999999999})"}).kind == Kind::not_found);
}

TEST_CASE("an end without a reason is retried") {
  CHECK(device_fault({}).kind == Kind::busy);
  CHECK(connection_fault({}).kind == Kind::transport);
}

TEST_CASE("a lost connection is a matter of transport") {
  CHECK(connection_fault({"amqp:connection:forced", "inactive"}).kind == Kind::transport);
  CHECK(connection_fault({"amqp:connection:framing-error", "x"}).kind == Kind::transport);
  CHECK(connection_fault({"trunkline:io", "Connection reset by peer"}).kind == Kind::transport);
  CHECK(connection_fault({"amqp:resource-limit-exceeded", "local-idle-timeout expired"}).kind == Kind::transport);
  CHECK(connection_fault({"amqp:unauthorized-access", "x"}).kind == Kind::unauthorised);
  CHECK(connection_fault({"com.microsoft:iot-hub-not-found-error", "x"}).kind == Kind::not_found);
}

TEST_CASE("a put-token status other than 2xx says what to do with the device") {
  CHECK(token_fault(401, "invalid signature").kind == Kind::unauthorised);
  CHECK(token_fault(404, "unknown").kind == Kind::not_found);
  CHECK(token_fault(400, "bad").kind == Kind::protocol);
  CHECK(token_fault(429, "slow down").kind == Kind::throttled);
  CHECK(token_fault(503, "busy").kind == Kind::busy);
  CHECK(token_fault(0, "").kind == Kind::busy);
  CHECK(token_fault(401, "x").condition == "trunkline:put-token-401");
}

TEST_CASE("a connection that holds as many tokens as it may is full, not in trouble") {
  const std::string text = "The maximum number of tokens per connection (1000) has been reached.";
  CHECK(token_fault(500, text).kind == Kind::full);
  CHECK(token_fault(403, coded(403005)).kind == Kind::full);
  CHECK(device_fault({"amqp:resource-limit-exceeded", text}).kind == Kind::full);
}

TEST_CASE("a device that was taken over waits a minute") {
  CHECK(device_fault({"com.microsoft:link-creation-conflict", ""}).retry_after >= Milliseconds(60'000));
  CHECK_FALSE(device_fault({"amqp:internal-error", ""}).retry_after);
}
