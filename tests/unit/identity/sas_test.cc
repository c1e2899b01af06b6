// SPDX-License-Identifier: Apache-2.0
#include "identity/sas.h"

#include "gateway/base/encoding.h"
#include "tests/support/catch.h"

namespace trunkline::identity {
namespace {

constexpr std::string_view kKeyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

Secret key() {
  return Secret(base64_decode(kKeyText).value());
}

WallTime at(std::int64_t milliseconds) {
  return WallTime(Milliseconds(milliseconds));
}

}  // namespace

TEST_CASE("signatures agree with the published vectors", "[identity]") {
  CHECK(signature("hub1.example.net%2Fdevices%2Fdev-1", key(), 1'700'000'000) ==
        "Xdv5HlWZ8o2M9V0aq4zZlIsm8gZufm2/162kBIgrCyY=");
  CHECK(signature("hub1.example.net%2fdevices%2fdev-1", key(), 1'700'000'000) ==
        "FD2Hmi30PCs9rgCO8wV+8lYeu/D8AoQpVP7NpCMrWQo=");
  CHECK(signature("hub1.example.net", key(), 1'700'000'000) == "yt5hX/joDf9kaGEL0h2AZ2zN76Q36kQFMSho7eKyAEE=");
  CHECK(signature("sb%3A%2F%2Fhub1.example.net%2Fhub1%2FConsumerGroups%2F%24Default%2FPartitions%2F0",
                  Secret(std::string(kKeyText)), 1'700'000'000) == "OFO1xqvGiE12c4kSwFkW9ENlc/gwQ4aulOauEaJbxwE=");
}

TEST_CASE("a device's token is made of the encoded resource, the signature and whole seconds", "[identity]") {
  CHECK(
      sign_token("hub1.example.net/devices/dev-1", key(), at(1'700'000'000'999)).reveal() ==
      "SharedAccessSignature sr=hub1.example.net%2Fdevices%2Fdev-1&sig=Xdv5HlWZ8o2M9V0aq4zZlIsm8gZufm2%2F162kBIgrCyY%3D"
      "&se=1700000000");
}

TEST_CASE("a policy's token names the policy", "[identity]") {
  CHECK(sign_token("hub1.example.net", key(), at(1'700'000'000'000), "iothubowner").reveal() ==
        "SharedAccessSignature sr=hub1.example.net&sig=yt5hX%2FjoDf9kaGEL0h2AZ2zN76Q36kQFMSho7eKyAEE%3D&se=1700000000"
        "&skn=iothubowner");
}

TEST_CASE("every mark of a device id is encoded once", "[identity]") {
  const auto token = sign_token("h/devices/a%20#'b", key(), at(0));
  CHECK(token.reveal().substr(0, 51) == "SharedAccessSignature sr=h%2Fdevices%2Fa%2520%23%27");
}

}  // namespace trunkline::identity
