// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/endpoint.h"

#include "tests/support/catch.h"

using trunkline::net::Endpoint;

TEST_CASE("an endpoint is a host or an address with a port") {
  CHECK(Endpoint::parse("hub.example.net:5671") == Endpoint{"hub.example.net", 5671});
  CHECK(Endpoint::parse("127.0.0.1:0") == Endpoint{"127.0.0.1", 0});
  CHECK(Endpoint::parse("[::1]:65535") == Endpoint{"::1", 65535});
}

TEST_CASE("the text of an endpoint parses to the same endpoint") {
  for (const Endpoint& endpoint : {Endpoint{"a.b", 1}, Endpoint{"fe80::1", 5684}, Endpoint{"10.0.0.1", 80}}) {
    CHECK(Endpoint::parse(endpoint.text()) == endpoint);
  }
  CHECK(Endpoint{"::1", 5671}.text() == "[::1]:5671");
}

TEST_CASE("an endpoint that cannot be meant is refused") {
  for (const auto* text : {"", ":", "host", "host:", ":5671", "host:port", "host:65536", "host:-1", "host:5671x",
                           "::1:5671", "[::1]", "[]:1", "[::1:5", "a b:1", "host:99999999999999999999"}) {
    INFO(text);
    const auto parsed = Endpoint::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == trunkline::ErrorCode::invalid);
  }
}
