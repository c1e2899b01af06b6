// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

constexpr auto kSend = "/messages/devicebound";
constexpr auto kFeedback = "/messages/serviceBound/feedback";

proton::message command_for(const std::string& device, const std::string& id) {
  auto message = telemetry(id, "do it");
  message.to("/devices/" + percent_encode(device) + "/messages/devicebound");
  message.properties().put("iothub-ack", "full");
  return message;
}

}  // namespace

TEST_CASE("the service sends a command and gets feedback on its outcome") {
  HubFixture fixture;
  fixture.ask(R"({"op":"limits","feedback_delay_ms":50})");
  RawClient service(*fixture.hub, false);
  REQUIRE(service.connect());
  REQUIRE(service.put_token(fixture.owner_token()) == 200);
  REQUIRE(service.attach_sender(kSend).empty());
  REQUIRE(service.attach_receiver(kFeedback, 10).empty());
  CHECK(service.send(kSend, command_for("d1", "s1")) == "accepted");

  RawClient device(*fixture.hub, true);
  fixture.attach_d1(device, 1);
  REQUIRE(device.until([&device] { return device.incoming.back().address == kDown; }));
  amqp::accept(device.incoming.back().delivery);
  device.flush();
  REQUIRE(device.put_device_token("d1", kKey) == 200);

  REQUIRE(service.until([&service] { return service.incoming.back().address == kFeedback; }));
  auto& feedback = service.incoming.back();
  CHECK(feedback.message.content_type() == "application/vnd.microsoft.iothub.feedback.json");
  const auto bytes = proton::get<proton::binary>(feedback.message.body());
  const auto records = json::parse(std::string(bytes.begin(), bytes.end()));
  CHECK(records.at(0).at("originalMessageId").as_string() == "s1");
  CHECK(records.at(0).at("statusCode").as_string() == "Success");
  CHECK(records.at(0).at("deviceId").as_string() == "d1");
  // Two dispositions, as the official service SDK sends them.
  pn_delivery_update(feedback.delivery, PN_ACCEPTED);
  service.flush();
  auto* delivery = feedback.delivery;
  REQUIRE(service.until([delivery] { return pn_delivery_settled(delivery); }));
  amqp::accept(delivery);
  service.flush();
  CHECK(service.send(kSend, command_for("d1", "s2")) == "accepted");
}

TEST_CASE("a command for nobody, or for a full queue, is rejected as the hub does") {
  HubLimits limits;
  limits.queue_depth = 1;
  HubFixture fixture(limits);
  RawClient service(*fixture.hub, false);
  REQUIRE(service.connect());
  REQUIRE(service.put_token(fixture.owner_token()) == 200);
  REQUIRE(service.attach_sender(kSend).empty());
  CHECK(service.send(kSend, command_for("nobody", "s1")) == "rejected amqp:not-found");
  CHECK(service.send(kSend, command_for("d1", "s2")) == "accepted");
  CHECK(service.send(kSend, command_for("d1", "s3")) == "rejected amqp:resource-limit-exceeded");
}

TEST_CASE("a device's token does not open the service's links") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  REQUIRE(client.connect());
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  CHECK(client.attach_sender(kSend) == "amqp:unauthorized-access");
  CHECK(client.attach_receiver(kFeedback, 1) == "amqp:unauthorized-access");
}
