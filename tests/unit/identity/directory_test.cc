// SPDX-License-Identifier: Apache-2.0
#include "identity/directory.h"

#include "gateway/base/encoding.h"
#include "identity/sas.h"
#include "tests/support/catch.h"

namespace trunkline::identity {
namespace {

DeviceId id(std::string_view text) {
  return DeviceId::parse(text).value();
}

Identity identity(std::string_view text, bool enabled = true) {
  return {id(text), Secret(base64_decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").value()), {}, {}, enabled, {}};
}

}  // namespace

TEST_CASE("a known device gets a token for itself alone", "[identity][I-02]") {
  Directory directory("hub1.example.net", Milliseconds(3'600'000));
  directory.replace({identity("dev-1")});
  const WallTime now(Milliseconds(1'700'000'000'000 - 3'600'000));
  const auto token = directory.token(id("dev-1"), KeyChoice::primary, now);
  REQUIRE(token);
  CHECK(token->audience == "hub1.example.net/devices/dev-1");
  CHECK(token->expires == now + Milliseconds(3'600'000));
  CHECK(
      token->text.reveal() ==
      "SharedAccessSignature sr=hub1.example.net%2Fdevices%2Fdev-1&sig=Xdv5HlWZ8o2M9V0aq4zZlIsm8gZufm2%2F162kBIgrCyY%3D"
      "&se=1700000000");
}

TEST_CASE("an unknown device and a disabled one get no token, each for its reason", "[identity]") {
  Directory directory("h", Milliseconds(1000));
  CHECK(directory.token(id("a"), KeyChoice::primary, {}).error().code == ErrorCode::not_found);
  directory.replace({identity("a", false)});
  CHECK(directory.token(id("a"), KeyChoice::primary, {}).error().code == ErrorCode::denied);
  CHECK(directory.known(id("a")));
  CHECK(directory.size() == 1);
}

TEST_CASE("a new set of identities replaces the old one as a whole", "[identity]") {
  Directory directory("h", Milliseconds(1000));
  directory.replace({identity("a"), identity("b")});
  directory.replace({identity("c")});
  CHECK(!directory.known(id("a")));
  CHECK(directory.token(id("c"), KeyChoice::primary, {}));
  CHECK(directory.size() == 1);
}

}  // namespace trunkline::identity
