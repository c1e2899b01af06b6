// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/https_client.h"
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

std::string message_of(const HttpsAnswer& answer) {
  return std::string(answer.body.at("Message").as_string());
}

// The ETag of an answer, in its quotation marks.
std::string etag_of(const HttpsAnswer& answer) {
  const auto at = answer.head.find("ETag: ");
  REQUIRE(at != std::string::npos);
  const auto end = answer.head.find("\r\n", at);
  return answer.head.substr(at + 6, end - at - 6);
}

}  // namespace

TEST_CASE("HTTPS wants the token of a policy that may, and an api-version") {
  HubFixture fixture({}, {}, {{"service", kKey}, {"registryRead", kKey}, {"iothubowner", kKey}});
  auto& hub = *fixture.hub;
  const auto policy = [&hub](const std::string& name, const std::string& path = {}) {
    return make_token(hub.host() + path, kKey, 1h, name);
  };
  for (const auto& bad : {std::string(), std::string("nonsense"), make_token(hub.host(), kKey, -1h, "service"),
                          make_token(hub.host() + "/devices/d1", kKey, 1h), policy("service", "/twins/d2")}) {
    const auto answer = https(hub, bad, "GET", "/twins/d1");
    CHECK(answer.status == 401);
    CHECK(message_of(answer).starts_with("ErrorCode:IotHubUnauthorizedAccess;"));
  }
  CHECK(https(hub, policy("service"), "GET", "/twins/d1").status == 200);
  CHECK(https(hub, policy("service", "/twins"), "GET", "/twins/d1").status == 200);
  CHECK(https(hub, policy("service"), "GET", "/devices/d1").status == 401);
  CHECK(https(hub, policy("registryRead"), "GET", "/devices/d1").status == 200);
  CHECK(https(hub, policy("registryRead"), "GET", "/twins/d1").status == 401);
  CHECK(https(hub, policy("registryRead"), "DELETE", "/devices/d1").status == 401);
  const auto owner = policy("iothubowner");
  const auto old = https(hub, owner, "GET", "/twins/d1?api-version=");
  CHECK(old.status == 400);
  CHECK(message_of(old).starts_with("ErrorCode:InvalidProtocolVersion;"));
  CHECK(https(hub, owner, "GET", "/twins/d1?api-version=yesterday").status == 400);
  CHECK(https(hub, owner, "GET", "/elsewhere").status == 404);
  CHECK(https(hub, owner, "GET", "/twins/nobody").status == 404);
  CHECK(message_of(https(hub, owner, "GET", "/twins/nobody")).starts_with("ErrorCode:DeviceNotFound;"));
  CHECK(message_of(https(hub, owner, "GET", "/twins/d1/modules/m")).starts_with("ErrorCode:ModuleNotFound;"));
}

TEST_CASE("the registry makes, lists, changes and removes devices and modules") {
  HubFixture fixture;
  auto& hub = *fixture.hub;
  const auto owner = fixture.owner_token();
  const auto made = https(hub, owner, "PUT", "/devices/d%2B3", R"({"deviceId":"d+3"})");
  REQUIRE(made.status == 200);
  CHECK(made.body.at("deviceId").as_string() == "d+3");
  CHECK(made.body.at("status").as_string() == "enabled");
  CHECK(made.body.at("connectionState").as_string() == "Disconnected");
  const std::string key(made.body.at("authentication").at("symmetricKey").at("primaryKey").as_string());
  CHECK(base64_decode(key)->size() == 32);
  RawClient client(hub, true);
  REQUIRE(client.connect());
  CHECK(client.put_token(make_token(hub.host() + "/devices/d+3", key, 1h)) == 200);

  CHECK(https(hub, owner, "PUT", "/devices/d%2B3", R"({"deviceId":"d+3"})").status == 409);
  CHECK(https(hub, owner, "PUT", "/devices/d4", R"({"deviceId":"d5"})").status == 400);
  CHECK(https(hub, owner, "PUT", "/devices/d4", "nonsense").status == 400);
  CHECK(https(hub, owner, "PUT", "/devices/d4", R"({"deviceId":"d4"})", "*").status == 404);
  const auto disabled =
      https(hub, owner, "PUT", "/devices/d%2B3", R"({"deviceId":"d+3","status":"disabled"})", etag_of(made));
  CHECK(disabled.status == 200);
  CHECK(disabled.body.at("status").as_string() == "disabled");
  CHECK(disabled.body.at("authentication").at("symmetricKey").at("primaryKey").as_string() == key.c_str());
  CHECK(client.put_token(make_token(hub.host() + "/devices/d+3", key, 1h)) == 401);
  CHECK(https(hub, owner, "DELETE", "/devices/d%2B3", {}, etag_of(made)).status == 412);

  CHECK(https(hub, owner, "PUT", "/devices/d1/modules/m1", R"({"deviceId":"d1","moduleId":"m1"})").status == 200);
  CHECK(https(hub, owner, "GET", "/devices/d1/modules").body.as_array().size() == 1);
  CHECK(https(hub, owner, "GET", "/devices/d1/modules/m1").body.at("moduleId").as_string() == "m1");
  CHECK(https(hub, owner, "GET", "/devices/?top=2").body.as_array().size() == 2);
  CHECK(https(hub, owner, "GET", "/devices").body.as_array().size() == 3);
  CHECK(https(hub, owner, "GET", "/devices?top=0").status == 400);
  CHECK(https(hub, owner, "DELETE", "/devices/d%2B3", {}, "\"*\"").status == 204);
  CHECK(https(hub, owner, "GET", "/devices/d%2B3").status == 404);
  fixture.ask(R"({"op":"enqueue","device":"d1","body":"x"})");
  CHECK(https(hub, owner, "DELETE", "/devices/d1/commands").body.at("totalMessagesPurged").as_int64() == 1);
}

TEST_CASE("the service reads and changes a twin under its ETag") {
  HubFixture fixture;
  auto& hub = *fixture.hub;
  const auto owner = fixture.owner_token();
  const auto first = https(hub, owner, "GET", "/twins/d1");
  REQUIRE(first.status == 200);
  CHECK(first.body.at("properties").at("desired").at("$version").as_int64() == 1);
  CHECK("\"" + std::string(first.body.at("etag").as_string()) + "\"" == etag_of(first));
  const auto changed = https(hub, owner, "PATCH", "/twins/d1",
                             R"({"tags":{"site":"A"},"properties":{"desired":{"rate":5,"old":1}}})", etag_of(first));
  REQUIRE(changed.status == 200);
  CHECK(changed.body.at("tags").at("site").as_string() == "A");
  CHECK(changed.body.at("properties").at("desired").at("rate").as_int64() == 5);
  CHECK(https(hub, owner, "PATCH", "/twins/d1", R"({"tags":{}})", etag_of(first)).status == 412);
  const auto bad = https(hub, owner, "PATCH", "/twins/d1", R"({"properties":{"desired":{"a.b":1}}})");
  CHECK(bad.status == 400);
  CHECK(message_of(bad).starts_with("ErrorCode:ArgumentInvalid;"));
  const auto whole = https(hub, owner, "PUT", "/twins/d1", R"({"properties":{"desired":{"rate":6}}})", "*");
  CHECK_FALSE(whole.body.at("properties").at("desired").as_object().contains("old"));
  CHECK(whole.body.at("tags").at("site").as_string() == "A");
  CHECK(fixture.ask(R"({"op":"twin","device":"d1"})").at("desired_version").as_int64() == 3);
}

TEST_CASE("what is no request is refused, and the next one is served") {
  HubFixture fixture;
  auto& hub = *fixture.hub;
  CHECK(https_bytes(hub, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
  CHECK(https_bytes(hub, "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x')).starts_with("HTTP/1.1 400"));
  CHECK(https_bytes(hub, "PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n").starts_with("HTTP/1.1 413"));
  CHECK(https(hub, fixture.owner_token(), "GET", "/twins/d1").status == 200);
  // Two requests in one connection, sent at once.
  const auto get = [&](const std::string& connection) {
    return "GET /twins/d1?api-version=2021-04-12 HTTP/1.1\r\nAuthorization: " + fixture.owner_token() +
           "\r\nConnection: " + connection + "\r\n\r\n";
  };
  const auto got = https_bytes(hub, get("keep-alive") + get("close"));
  const auto second = got.find("HTTP/1.1 200", 1);
  CHECK(got.starts_with("HTTP/1.1 200"));
  CHECK(second != got.npos);
}
