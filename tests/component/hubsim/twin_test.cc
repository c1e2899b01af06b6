// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

constexpr auto kDesired = "/notifications/twin/properties/desired";

// A device with its two twin links.
class Scene : public HubFixture {
 public:
  Scene() : device(*hub, true) {}
  void attach(const std::string& id = "d1", const std::string& path = "/devices/d1") {
    address = path + "/twin";
    REQUIRE(device.connect());
    REQUIRE(device.put_token(make_token(hub->host() + path, kKey, 1h)) == 200);
    REQUIRE(device.attach_sender(address).empty());
    REQUIRE(device.attach_receiver(address, 100).empty());
    CHECK(ask(R"({"op":"devices","device":")" + id + "\"}").at("devices").at(0).at("token").as_bool());
  }
  void request(const std::string& operation, const std::string& resource, const std::string& body,
               const std::string& correlation = "c1") {
    proton::message message;
    message.inferred(true);
    message.correlation_id(correlation);
    message.message_annotations().put("operation", operation);
    if (!resource.empty()) message.message_annotations().put("resource", resource);
    message.body(proton::binary(body));
    device.send_later(address, message);
  }
  proton::message next() {
    const auto count = ++taken_;
    const auto found = [this] {
      std::vector<proton::message> messages;
      for (const auto& entry : device.incoming) {
        if (entry.address == address) messages.push_back(entry.message);
      }
      return messages;
    };
    REQUIRE(device.until([&] { return found().size() >= count; }));
    return found()[count - 1];
  }
  static int status(const proton::message& answer) {
    CHECK(answer.message_annotations().get("status").type() == proton::INT);
    return proton::get<std::int32_t>(answer.message_annotations().get("status"));
  }
  static json::value body(const proton::message& message) {
    const auto bytes = proton::get<proton::binary>(message.body());
    return json::parse(std::string(bytes.begin(), bytes.end()));
  }

  RawClient device;
  std::string address;

 private:
  std::size_t taken_ = 0;
};

}  // namespace

TEST_CASE_METHOD(Scene, "a device gets its twin and patches what it reports") {
  attach();
  request("GET", "", " ", "get-1");
  const auto got = next();
  CHECK(status(got) == 200);
  CHECK(got.correlation_id() == proton::message_id(std::string("get-1")));
  CHECK(body(got) == json::parse(R"({"desired":{"$version":1},"reported":{"$version":1}})"));
  request("PATCH", "/properties/reported", R"({"rate":5})");
  const auto patched = next();
  CHECK(status(patched) == 204);
  CHECK(patched.message_annotations().get("version").type() == proton::LONG);
  CHECK(proton::get<std::int64_t>(patched.message_annotations().get("version")) == 2);
  CHECK(patched.body().empty());
  const auto seen = ask(R"({"op":"wait_twin","device":"d1","reported":{"rate":5}})");
  CHECK(seen.at("reported_version").as_int64() == 2);
  CHECK(device.links[address].outcomes == std::vector<std::string>{"accepted", "accepted"});
}

TEST_CASE_METHOD(Scene, "desired changes are told after a subscription only, without a correlation-id, until it ends") {
  attach();
  ask(R"({"op":"twin","device":"d1","desired":{"rate":1}})");
  request("PUT", kDesired, " ");
  const auto subscribed = next();
  CHECK(status(subscribed) == 200);
  CHECK(subscribed.body().empty());
  ask(R"({"op":"twin","device":"d1","desired":{"rate":null,"mode":"x"}})");
  const auto told = next();
  CHECK(told.correlation_id().empty());
  CHECK(body(told) == json::parse(R"({"rate":null,"mode":"x","$version":3})"));
  request("DELETE", kDesired, " ");
  CHECK(status(next()) == 200);
  ask(R"({"op":"twin","device":"d1","desired":{"rate":2}})");
  request("GET", "", " ");
  CHECK(body(next()).at("desired").at("$version").as_int64() == 4);
}

TEST_CASE_METHOD(Scene, "what a twin cannot take is answered with a status and a reason in JSON") {
  attach();
  const auto refused = [this](const std::string& operation, const std::string& resource, const std::string& text) {
    request(operation, resource, text);
    const auto answer = next();
    CHECK(body(answer).at("errorCode").is_int64());
    return status(answer);
  };
  CHECK(refused("PATCH", "/properties/reported", "nonsense") == 400);
  CHECK(refused("PATCH", "/properties/reported", "[1]") == 400);
  CHECK(refused("PATCH", "/properties/reported", R"({"a.b":1})") == 400);
  CHECK(refused("PATCH", "/properties/desired", "{}") == 400);
  CHECK(refused("FETCH", "", "") == 400);
  ask(R"({"op":"refuse_twin","device":"d1","status":429,"count":1})");
  CHECK(refused("GET", "", "") == 429);
  ask(R"({"op":"refuse_twin","status":0,"count":1})");
  request("GET", "", "", "lost");
  request("GET", "", "", "answered");
  CHECK(next().correlation_id() == proton::message_id(std::string("answered")));
}

TEST_CASE_METHOD(Scene, "a request without a correlation-id costs the link") {
  attach();
  device.send_later(address, telemetry("", ""));
  REQUIRE(device.until([this] { return device.links[address].closed; }));
  CHECK(device.links[address].condition.name == "amqp:decode-error");
}

TEST_CASE_METHOD(Scene, "a module has a twin, commands and telemetry of its own") {
  hub->add_device("d1/m1", kKey);
  attach("d1/m1", "/devices/d1/modules/m1");
  request("PATCH", "/properties/reported", R"({"a":1})");
  CHECK(status(next()) == 204);
  CHECK(ask(R"({"op":"twin","device":"d1"})").at("reported").as_object().empty());
  CHECK(ask(R"({"op":"twin","device":"d1/m1"})").at("reported").at("a").as_int64() == 1);

  const std::string up = "/devices/d1/modules/m1/messages/events";
  const std::string down = "/devices/d1/modules/m1/messages/devicebound";
  REQUIRE(device.attach_sender(up).empty());
  CHECK(device.send(up, telemetry("m1", "x")) == "accepted");
  CHECK(hub->arrivals("d1/m1").size() == 1);
  CHECK(hub->arrivals("d1").empty());
  REQUIRE(device.attach_receiver(down, 1).empty());
  const auto sequence = hub->enqueue("d1/m1", "do it", "c1").value();
  REQUIRE(device.until([&] { return device.incoming.back().address == down; }));
  CHECK(device.incoming.back().message.to() == down);
  amqp::accept(device.incoming.back().delivery);
  device.flush();
  // The receive link of an Edge module's inputs is there, and silent.
  CHECK(device.attach_receiver(up, 1).empty());
  CHECK(hub->wait_outcome("d1/m1", sequence, 10s) == "completed");
  CHECK(device.attach_sender("/devices/d1/messages/events") == "amqp:unauthorized-access");
}
