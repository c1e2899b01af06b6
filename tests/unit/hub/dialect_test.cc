// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/dialect.h"

#include "tests/support/catch.h"

using namespace trunkline;
using hub::Dialect;
using hub::LinkShape;

namespace {

DeviceId device(const char* id) {
  return *DeviceId::parse(id);
}

}  // namespace

TEST_CASE("a link's node is the hub's, with the id percent-encoded once") {
  const auto& hub = hub::iot_hub();
  CHECK(hub.node_address(DeviceLink::telemetry, device("boiler-7")) == "/devices/boiler-7/messages/events");
  CHECK(hub.node_address(DeviceLink::commands, device("a%41#?")) == "/devices/a%2541%23%3F/messages/devicebound");
  CHECK(hub.node_address(DeviceLink::methods, device("d")) == "/devices/d/methods/devicebound");
  CHECK(hub.node_address(DeviceLink::twin, device("d")) == "/devices/d/twin");
}

TEST_CASE("a token is put for the device's resource, plain") {
  CHECK(hub::iot_hub().audience_of("contoso.azure-devices.net", device("a#b")) ==
        "contoso.azure-devices.net/devices/a#b");
}

TEST_CASE("a module of a device has nodes and a resource of its own") {
  const auto& hub = hub::iot_hub();
  CHECK(hub.node_address(DeviceLink::telemetry, device("d#1/meter")) == "/devices/d%231/modules/meter/messages/events");
  CHECK(hub.node_address(DeviceLink::methods, device("d/m")) == "/devices/d/modules/m/methods/devicebound");
  CHECK(hub.node_address(DeviceLink::twin, device("d/m")) == "/devices/d/modules/m/twin");
  CHECK(hub.audience_of("h", device("d#1/m")) == "h/devices/d#1/modules/m");
  CHECK_FALSE(DeviceId::parse("d/"));
  CHECK_FALSE(DeviceId::parse("/m"));
  CHECK_FALSE(DeviceId::parse("d/m/x"));
}

TEST_CASE("each of a device's links has its shape in the table") {
  for (const auto link : {DeviceLink::telemetry, DeviceLink::commands, DeviceLink::methods, DeviceLink::twin}) {
    const auto& shape = hub::iot_hub().shape(link);
    CHECK(shape.link == link);
    const bool pair = link == DeviceLink::methods || link == DeviceLink::twin;
    CHECK((shape.sends && shape.receives) == pair);
    CHECK(shape.settled == pair);
    CHECK(shape.pair_prefix.empty() != pair);
  }
}

TEST_CASE("another hub is another table") {
  constexpr Dialect plain{
      .sasl = Dialect::Sasl::none,
      .links = {LinkShape{.link = DeviceLink::telemetry, .node = "up/{device}", .sends = true},
                LinkShape{.link = DeviceLink::commands, .node = "down/{device}/all/{device}", .receives = true},
                LinkShape{.link = DeviceLink::methods, .node = "rpc", .sends = true, .receives = true},
                LinkShape{.link = DeviceLink::twin, .node = "state", .sends = true, .receives = true}},
  };
  CHECK(plain.token_node.empty());
  CHECK(plain.node_address(DeviceLink::telemetry, device("d#1")) == "up/d%231");
  CHECK(plain.node_address(DeviceLink::commands, device("d")) == "down/d/all/d");
  CHECK(plain.node_address(DeviceLink::twin, device("d")) == "state");
  CHECK(plain.audience_of("h", device("d")).empty());
}
