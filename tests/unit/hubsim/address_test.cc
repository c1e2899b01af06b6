// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/address.h"

#include "tests/support/catch.h"

using trunkline::hubsim::Address;
using Kind = trunkline::hubsim::Address::Kind;

TEST_CASE("an address means the same with a slash, without one, and behind the host") {
  for (const auto* text :
       {"/devices/d1/messages/events", "devices/d1/messages/events",
        "amqps://hub1.azure-devices.net/devices/d1/messages/events", "/Devices/d1/Messages/Events"}) {
    const auto address = Address::parse(text);
    CHECK(address.kind == Kind::telemetry);
    CHECK(address.device == "d1");
    CHECK(address.module.empty());
  }
}

TEST_CASE("each link of a device and of the service has its address") {
  CHECK(Address::parse("/devices/d1/messages/devicebound").kind == Kind::commands);
  CHECK(Address::parse("/devices/d1/messages/deviceBound").kind == Kind::commands);
  CHECK(Address::parse("/devices/d1/twin").kind == Kind::twin);
  CHECK(Address::parse("/devices/d1/methods/devicebound").kind == Kind::methods);
  CHECK(Address::parse("$cbs").kind == Kind::cbs);
  CHECK(Address::parse("/messages/devicebound").kind == Kind::service_commands);
  CHECK(Address::parse("/messages/serviceBound/feedback").kind == Kind::service_feedback);
  CHECK(Address::parse("/messages/serviceBound/filenotifications").kind == Kind::service_notifications);
}

TEST_CASE("the id of an address keeps its case and is decoded once") {
  const auto address = Address::parse("/devices/Boiler%2B7%2525/twin");
  CHECK(address.device == "Boiler%2B7%2525");
  CHECK(address.device_decoded == "Boiler+7%25");
  CHECK(Address::parse("/devices/50%/twin").device_decoded == "50%");
}

TEST_CASE("a module's address is told from its device's") {
  const auto address = Address::parse("/devices/d1/modules/m1/messages/events");
  CHECK(address.kind == Kind::telemetry);
  CHECK(address.module == "m1");
  CHECK(address.device == "d1/m1");
  CHECK(Address::parse("/devices/d%2B/modules/m%2B/twin").device_decoded == "d+/m+");
  CHECK(trunkline::hubsim::path_of("d1/m1") == "/devices/d1/modules/m1");
  CHECK(trunkline::hubsim::path_of("d1") == "/devices/d1");
}

TEST_CASE("an address of no template is unknown") {
  for (const auto* text : {"", "/", "/devices", "/devices/d1", "/devices//twin", "/devices/d1/messages",
                           "/devices/d1/messages/events/more", "/messages/events", "amqps://hub1"}) {
    CAPTURE(text);
    CHECK(Address::parse(text).kind == Kind::unknown);
  }
}
