// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/directory.h"

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "tests/support/catch.h"

using namespace trunkline;
using hubsim::Directory;
using std::chrono::seconds;

namespace {

constexpr auto kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr auto kOtherKey = "//////////////////////////////////////////8=";
const WallTime kNow(seconds(1'699'999'000));

Directory directory() {
  Directory made("hub1.example.net");
  REQUIRE(made.add_device("dev-1", kKey, kOtherKey));
  REQUIRE(made.add_policy("iothubowner", kKey));
  REQUIRE(made.add_policy("service", kOtherKey));
  REQUIRE(made.add_policy("device", kOtherKey));
  return made;
}

std::string token(const std::string& sr, const std::string& key, const std::string& policy = {},
                  const std::string& se = "1700000000") {
  const auto sig = base64_encode(hmac_sha256(base64_decode(key).value(), sr + "\n" + se));
  auto text = "SharedAccessSignature sr=" + sr + "&sig=" + percent_encode(sig) + "&se=" + se;
  if (!policy.empty()) text += "&skn=" + policy;
  return text;
}

int status(const Directory& hub, const std::string& text, WallTime now = kNow) {
  const auto grant = hub.check(text, now);
  return grant ? 200 : grant.error().status;
}

}  // namespace

TEST_CASE("the published signatures are accepted, in both letter cases of the encoding") {
  const auto hub = directory();
  const auto upper = "SharedAccessSignature sr=hub1.example.net%2Fdevices%2Fdev-1&sig=" +
                     percent_encode("Xdv5HlWZ8o2M9V0aq4zZlIsm8gZufm2/162kBIgrCyY=") + "&se=1700000000";
  const auto lower = "SharedAccessSignature sr=hub1.example.net%2fdevices%2fdev-1&sig=" +
                     percent_encode("FD2Hmi30PCs9rgCO8wV+8lYeu/D8AoQpVP7NpCMrWQo=") + "&se=1700000000";
  const auto policy = "SharedAccessSignature sig=" + percent_encode("yt5hX/joDf9kaGEL0h2AZ2zN76Q36kQFMSho7eKyAEE=") +
                      "&se=1700000000&skn=iothubowner&sr=hub1.example.net";
  CHECK(status(hub, upper) == 200);
  CHECK(status(hub, lower) == 200);
  CHECK(status(hub, policy) == 200);
}

TEST_CASE("a signature is over the resource as it was sent") {
  const auto hub = directory();
  auto swapped = token("hub1.example.net%2Fdevices%2Fdev-1", kKey);
  swapped.replace(swapped.find("%2F"), 3, "%2f");
  CHECK(status(hub, swapped) == 401);
}

TEST_CASE("either key of a device signs, another key does not") {
  const auto hub = directory();
  CHECK(status(hub, token("hub1.example.net%2Fdevices%2Fdev-1", kKey)) == 200);
  CHECK(status(hub, token("hub1.example.net%2Fdevices%2Fdev-1", kOtherKey)) == 200);
  CHECK(status(hub, token("hub1.example.net%2Fdevices%2Fdev-1", base64_encode("wrong"))) == 401);
}

TEST_CASE("a token is refused when it is expired, for another hub, unknown, disabled or malformed") {
  auto hub = directory();
  const std::string sr = "hub1.example.net%2Fdevices%2Fdev-1";
  CHECK(status(hub, token(sr, kKey), WallTime(seconds(1'700'000'000))) == 401);
  CHECK(status(hub, token("hub2.example.net%2Fdevices%2Fdev-1", kKey)) == 401);
  CHECK(status(hub, token("hub1.example.net%2Fdevices%2Fnobody", kKey)) == 404);
  CHECK(status(hub, token("hub1.example.net", kKey)) == 401);
  CHECK(status(hub, token("hub1.example.net", kKey, "nopolicy")) == 401);
  for (const auto* text : {"", "SharedAccessSignature ", "Bearer x", "SharedAccessSignature sr=a&sig=b",
                           "SharedAccessSignature sr=a&sig=%&se=1", "SharedAccessSignature sr=a&sig=b&se=1x",
                           "SharedAccessSignature sr=a&sig=b&se=99999999999999999999"}) {
    CAPTURE(text);
    CHECK(status(hub, text) == 400);
  }
  REQUIRE(hub.set_enabled("dev-1", false));
  CHECK(status(hub, token(sr, kKey)) == 401);
  REQUIRE(hub.remove_device("dev-1"));
  CHECK(status(hub, token(sr, kKey)) == 404);
}

TEST_CASE("a port behind the host of the resource is passed over") {
  const auto hub = directory();
  CHECK(status(hub, token("hub1.example.net%3A5671", kKey, "iothubowner")) == 200);
  CHECK(status(hub, token("hub1.example.net%3A5671%2Fdevices%2Fdev-1", kKey)) == 200);
  CHECK(status(hub, token("hub1.example.net%3A", kKey, "iothubowner")) == 401);
  CHECK(status(hub, token("hub1.example.net%3Ax1", kKey, "iothubowner")) == 401);
}

TEST_CASE("a grant covers whole segments below its path") {
  const auto hub = directory();
  const auto device = hub.check(token("hub1.example.net%2Fdevices%2Fdev-1", kKey), kNow).value();
  CHECK(device.covers("/devices/dev-1"));
  CHECK(device.covers("/devices/dev-1/messages/events"));
  CHECK_FALSE(device.covers("/devices/dev-10"));
  CHECK_FALSE(device.covers("/devices/DEV-1"));
  CHECK_FALSE(device.covers("/devices"));
  CHECK_FALSE(device.service_connect);
  const auto all = hub.check(token("hub1.example.net", kKey, "iothubowner"), kNow).value();
  CHECK(all.covers("/devices/anything"));
  CHECK(all.covers("/messages/devicebound"));
  const auto devices = hub.check(token("hub1.example.net%2Fdevices", kOtherKey, "device"), kNow).value();
  CHECK(devices.covers("/devices/dev-1"));
  CHECK_FALSE(devices.covers("/messages/devicebound"));
}

TEST_CASE("a policy grants what its name says") {
  const auto hub = directory();
  const auto owner = hub.check(token("hub1.example.net", kKey, "iothubowner"), kNow).value();
  CHECK((owner.device_connect && owner.service_connect));
  const auto service = hub.check(token("hub1.example.net", kOtherKey, "service"), kNow).value();
  CHECK((!service.device_connect && service.service_connect));
  const auto device = hub.check(token("hub1.example.net", kOtherKey, "device"), kNow).value();
  CHECK((device.device_connect && !device.service_connect));
}

TEST_CASE("a module's token does not speak for its device") {
  const auto hub = directory();
  CHECK(status(hub, token("hub1.example.net%2Fdevices%2Fdev-1%2Fmodules%2Fm1", kKey)) == 404);
}

TEST_CASE("a plain user name must be the token's own identity") {
  const auto hub = directory();
  const auto mine = token("hub1.example.net%2Fdevices%2Fdev-1", kKey);
  const auto owner = token("hub1.example.net", kKey, "iothubowner");
  CHECK(hub.check_plain("dev-1@sas.hub1", mine, kNow));
  CHECK(hub.check_plain("iothubowner@sas.root.hub1", owner, kNow));
  CHECK_FALSE(hub.check_plain("dev-2@sas.hub1", mine, kNow));
  CHECK_FALSE(hub.check_plain("dev-1@sas.hub2", mine, kNow));
  CHECK_FALSE(hub.check_plain("service@sas.root.hub1", owner, kNow));
  CHECK_FALSE(hub.check_plain("dev-1", mine, kNow));
}

TEST_CASE("keys and ids of the directory are checked") {
  Directory hub("h");
  CHECK_FALSE(hub.add_device("a/b", kKey));
  CHECK_FALSE(hub.add_device("", kKey));
  CHECK_FALSE(hub.add_device("a", "not base64!"));
  CHECK_FALSE(hub.add_device("a", ""));
  CHECK_FALSE(hub.add_policy("p", ""));
  CHECK(hub.add_device("a%b", kKey));
}

TEST_CASE("a module is an identity of its own, and needs its device") {
  auto hub = directory();
  CHECK_FALSE(hub.add_device("nobody/m1", kKey));
  CHECK_FALSE(hub.add_device("dev-1/", kKey));
  CHECK_FALSE(hub.add_device("dev-1/m1/m2", kKey));
  REQUIRE(hub.add_device("dev-1/m1", kOtherKey));
  const auto grant = hub.check(token("hub1.example.net%2Fdevices%2Fdev-1%2Fmodules%2Fm1", kOtherKey), kNow);
  REQUIRE(grant);
  CHECK(grant->identity == "device:dev-1/m1");
  CHECK(hub.check_plain("dev-1/modules/m1@sas.hub1",
                        token("hub1.example.net%2Fdevices%2Fdev-1%2Fmodules%2Fm1", kOtherKey), kNow));
  CHECK(hub.modules_of("dev-1") == std::vector<std::string>{"dev-1/m1"});
  CHECK(hub.devices(10) == std::vector<std::string>{"dev-1"});
  hub.set_enabled("dev-1", false);
  CHECK_FALSE(hub.enabled("dev-1/m1"));
  CHECK(hub.remove_device("dev-1"));
  CHECK_FALSE(hub.knows("dev-1/m1"));
}

TEST_CASE("an id that is registered anew has another generation, a change another ETag") {
  auto hub = directory();
  const auto generation = hub.find("dev-1")->generation;
  const auto etag = hub.find("dev-1")->etag;
  REQUIRE(hub.add_device("dev-1", kOtherKey));
  CHECK(hub.find("dev-1")->generation == generation);
  CHECK(hub.find("dev-1")->etag != etag);
  REQUIRE(hub.remove_device("dev-1"));
  REQUIRE(hub.add_device("dev-1", kKey));
  CHECK(hub.find("dev-1")->generation != generation);
}

TEST_CASE("each default policy may do its own and no more") {
  auto hub = directory();
  REQUIRE(hub.add_policy("registryRead", kKey));
  REQUIRE(hub.add_policy("registryReadWrite", kKey));
  const auto grant = [&hub](const std::string& policy, const std::string& key) {
    return *hub.check(token("hub1.example.net", key, policy), kNow);
  };
  CHECK(grant("service", kOtherKey).service_connect);
  CHECK_FALSE(grant("service", kOtherKey).registry_read);
  CHECK(grant("registryRead", kKey).registry_read);
  CHECK_FALSE(grant("registryRead", kKey).registry_write);
  CHECK(grant("registryReadWrite", kKey).registry_write);
  CHECK_FALSE(grant("registryReadWrite", kKey).service_connect);
  CHECK(grant("iothubowner", kKey).registry_write);
  CHECK_FALSE(grant("device", kOtherKey).registry_read);
}
