// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/errors.h"

#include "tests/support/catch.h"

using namespace trunkline;
using Kind = LinkFault::Kind;
using hub::connection_fault;
using hub::device_fault;
using hub::token_fault;

TEST_CASE("a condition on a device's link says what to do with the device", "[I-01]") {
  const std::pair<const char*, Kind> rows[] = {
      {"amqp:unauthorized-access", Kind::unauthorised},
      {"amqp:not-found", Kind::not_found},
      {"amqp:not-allowed", Kind::taken_over},
      {"amqp:internal-error", Kind::busy},
      {"amqp:resource-limit-exceeded", Kind::throttled},
      {"amqp:link:message-size-exceeded", Kind::oversize},
      {"amqp:link:detach-forced", Kind::busy},
      {"amqp:link:stolen", Kind::taken_over},
      {"amqp:session:window-violation", Kind::protocol},
      {"com.microsoft:device-container-throttled", Kind::throttled},
      {"com.microsoft:timeout", Kind::busy},
      {"com.microsoft:link-creation-conflict", Kind::taken_over},
      {"com.microsoft:iot-hub-suspended", Kind::throttled},
      {"com.example:new-in-2030", Kind::busy},
  };
  for (const auto& [condition, kind] : rows) {
    INFO(condition);
    const auto fault = device_fault({condition, "why"});
    CHECK(to_string(fault.kind) == to_string(kind));
    CHECK(fault.condition == condition);
    CHECK(fault.description == "why");
  }
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

TEST_CASE("a connection that holds as many tokens as it may is no transient fault") {
  const auto fault = token_fault(500, "The maximum number of tokens per connection (1000) has been reached.");
  CHECK(fault.kind == Kind::throttled);
  CHECK(fault.retry_after >= Milliseconds(60'000));
}

TEST_CASE("a device that was taken over waits a minute") {
  CHECK(device_fault({"com.microsoft:link-creation-conflict", ""}).retry_after >= Milliseconds(60'000));
  CHECK_FALSE(device_fault({"amqp:internal-error", ""}).retry_after);
}
