// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/request_map.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace trunkline;
using coap::Code;
using coap::Method;
using coap::RequestMap;
using Role = RequestMap::Role;

namespace {

DeviceMap device(const std::string& id, CoapMap coap) {
  DeviceMap out{.id = *DeviceId::parse(id)};
  out.coap = std::move(coap);
  return out;
}

coap::Request request(Method method, std::string path) {
  coap::Request out;
  out.method = method;
  out.path = std::move(path);
  return out;
}

const auto kHere = *coap::parse_address("10.0.0.7");
const auto kThere = *coap::parse_address("fd00::8");

}  // namespace

TEST_CASE("a unique path decides the device, and the method must fit", "[I-02]") {
  const auto map = RequestMap::make({device("a", {{}, "/a/t", "/a/cmd", "/a/done"}), device("b", {{}, "/b", {}, {}})});
  REQUIRE(map);
  const auto post = map->decide(request(Method::post, "/b"), kHere);
  CHECK_FALSE(post.refuse);
  CHECK(post.device == 1);
  CHECK(post.role == Role::telemetry);
  CHECK(map->decide(request(Method::put, "/a/t"), kHere).device == 0);
  CHECK(map->decide(request(Method::get, "/a/cmd"), kHere).role == Role::command);
  CHECK(map->decide(request(Method::post, "/a/done"), kHere).role == Role::result);
  CHECK(map->decide(request(Method::get, "/b"), kHere).refuse == Code::not_allowed);
  CHECK(map->decide(request(Method::other, "/b"), kHere).refuse == Code::not_allowed);
  CHECK(map->decide(request(Method::put, "/a/cmd"), kHere).refuse == Code::not_allowed);
  CHECK(map->decide(request(Method::post, "/"), kHere).refuse == Code::not_found);
  CHECK(map->decide(request(Method::post, "/b/"), kHere).refuse == Code::not_found);
}

TEST_CASE("an address decides among the devices of one path, and others are refused", "[I-02]") {
  const auto map = RequestMap::make({device("a", {"10.0.0.7", "/t", {}, {}}), device("b", {"fd00::8", "/t", {}, {}})});
  REQUIRE(map);
  CHECK(map->decide(request(Method::post, "/t"), kHere).device == 0);
  CHECK(map->decide(request(Method::post, "/t"), kThere).device == 1);
  CHECK(map->decide(request(Method::post, "/t"), *coap::parse_address("10.0.0.8")).refuse == Code::unauthorised);
}

TEST_CASE("a device without an address takes what no address claims", "[I-02]") {
  const auto map = RequestMap::make({device("a", {{}, "/t", {}, {}}), device("b", {"fd00::8", "/t", {}, {}})});
  REQUIRE(map);
  CHECK(map->decide(request(Method::post, "/t"), kHere).device == 0);
  CHECK(map->decide(request(Method::post, "/t"), kThere).device == 1);
}

TEST_CASE("what cannot be honoured is refused before it is taken") {
  const auto map = RequestMap::make({device("a", {{}, "/t", "/cmd", {}})});
  REQUIRE(map);
  auto conditional = request(Method::put, "/t");
  conditional.preconditions = true;
  CHECK(map->decide(conditional, kHere).refuse == Code::bad_option);
  auto part = request(Method::put, "/t");
  part.block_wise = true;
  CHECK(map->decide(part, kHere).refuse == Code::too_large);
  auto later = request(Method::get, "/cmd");
  later.block_wise = true;
  CHECK(map->decide(later, kHere).refuse == Code::bad_option);
}

TEST_CASE("maps that contradict each other are refused", "[I-02]") {
  CHECK_FALSE(RequestMap::make({device("a", {{}, "/t", {}, {}}), device("b", {{}, "/t", {}, {}})}));
  CHECK_FALSE(RequestMap::make({device("a", {{}, "/t", "/t", {}})}));
  CHECK_FALSE(RequestMap::make({device("a", {"10.0.0.7", "/t", {}, {}}), device("b", {"10.0.0.7", "/t", {}, {}})}));
  CHECK_FALSE(RequestMap::make({device("a", {"ten", "/t", {}, {}})}));
}

TEST_CASE("one address written in two ways is the same", "[I-02]") {
  CHECK(coap::parse_address("::ffff:10.0.0.7") == kHere);
  CHECK(coap::parse_address("fd00:0:0::8") == kThere);
  CHECK_FALSE(coap::parse_address("10.0.0"));
  CHECK_FALSE(coap::parse_address(""));
  CHECK(to_text(coap::Peer{kHere, 5}) == "10.0.0.7:5");
  CHECK(to_text(coap::Peer{kThere, 5}) == "[fd00::8]:5");
}
