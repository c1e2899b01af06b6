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

coap::Speaker from(const std::string& address) {
  coap::Speaker out;
  out.peer.address = *coap::parse_address(address);
  return out;
}

coap::Speaker proven(std::string_view identity) {
  auto out = from("10.0.0.7");
  out.secure = true;
  out.identity = identity;
  return out;
}

const auto kHere = from("10.0.0.7");
const auto kThere = from("fd00::8");

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
  CHECK(map->decide(request(Method::post, "/t"), from("10.0.0.8")).refuse == Code::unauthorised);
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
  part.bad_block = true;
  CHECK(map->decide(part, kHere).refuse == Code::bad_option);
}

TEST_CASE("over DTLS the proven identity decides, and on the plain listener such a device is nobody", "[I-02]") {
  CoapMap first{{}, "/t", "/a/cmd", {}};
  first.identity = "psk-a";
  CoapMap second{{}, "/t", {}, {}};
  second.identity = "psk-b";
  const auto map = RequestMap::make({device("a", first), device("b", second), device("c", {{}, "/plain", {}, {}})});
  REQUIRE(map);
  CHECK(map->decide(request(Method::post, "/t"), proven("psk-a")).device == 0);
  CHECK(map->decide(request(Method::post, "/t"), proven("psk-b")).device == 1);
  CHECK(map->decide(request(Method::get, "/a/cmd"), proven("psk-b")).refuse == Code::forbidden);
  CHECK(map->decide(request(Method::post, "/plain"), proven("psk-a")).refuse == Code::forbidden);
  CHECK(map->decide(request(Method::post, "/else"), proven("psk-a")).refuse == Code::not_found);
  CHECK(map->decide(request(Method::post, "/t"), proven("psk-c")).refuse == Code::unauthorised);
  CHECK(map->decide(request(Method::post, "/t"), proven("")).refuse == Code::unauthorised);
  CHECK(map->decide(request(Method::post, "/t"), kHere).refuse == Code::unauthorised);
  CHECK_FALSE(map->decide(request(Method::post, "/plain"), kHere).refuse);
  CHECK(map->device_of("psk-b") == 1U);
  CHECK_FALSE(map->device_of("a"));
  second.identity = "psk-a";
  CHECK_FALSE(RequestMap::make({device("a", first), device("b", second)}));
}

TEST_CASE("maps that contradict each other are refused", "[I-02]") {
  CHECK_FALSE(RequestMap::make({device("a", {{}, "/t", {}, {}}), device("b", {{}, "/t", {}, {}})}));
  CHECK_FALSE(RequestMap::make({device("a", {{}, "/t", "/t", {}})}));
  CHECK_FALSE(RequestMap::make({device("a", {"10.0.0.7", "/t", {}, {}}), device("b", {"10.0.0.7", "/t", {}, {}})}));
  CHECK_FALSE(RequestMap::make({device("a", {"ten", "/t", {}, {}})}));
}

TEST_CASE("one address written in two ways is the same", "[I-02]") {
  CHECK(coap::parse_address("::ffff:10.0.0.7") == kHere.peer.address);
  CHECK(coap::parse_address("fd00:0:0::8") == kThere.peer.address);
  CHECK_FALSE(coap::parse_address("10.0.0"));
  CHECK_FALSE(coap::parse_address(""));
  CHECK(to_text(coap::Peer{kHere.peer.address, 5}) == "10.0.0.7:5");
  CHECK(to_text(coap::Peer{kThere.peer.address, 5}) == "[fd00::8]:5");
}
