// SPDX-License-Identifier: Apache-2.0
#include <future>
#include <proton/uuid.hpp>

#include "tests/component/hubsim/https_client.h"
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

constexpr auto kMethods = "/devices/d1/methods/devicebound";
constexpr auto kReboot = R"({"methodName":"reboot","responseTimeoutInSeconds":5,"payload":{"delay":3}})";

std::string text_of(const proton::message& message) {
  const auto bytes = proton::get<proton::binary>(message.body());
  return {bytes.begin(), bytes.end()};
}

proton::message answer_to(const proton::message& request, std::int32_t status, const std::string& body) {
  proton::message answer;
  answer.inferred(true);
  answer.correlation_id(request.correlation_id());
  answer.properties().put("IoThub-status", status);
  answer.body(proton::binary(body));
  return answer;
}

// A device with its two method links, and a service that calls it meanwhile.
class Scene : public HubFixture {
 public:
  Scene() : device(*hub, true), owner(owner_token()) {}
  void attach(int credit = 10) {
    REQUIRE(device.connect());
    REQUIRE(device.put_device_token("d1", kKey) == 200);
    REQUIRE(device.attach_sender(kMethods).empty());
    REQUIRE(device.attach_receiver(kMethods, credit).empty());
  }
  std::future<HttpsAnswer> call(const std::string& body) {
    return std::async(std::launch::async,
                      [this, body] { return https(*hub, owner, "POST", "/twins/d1/methods", body); });
  }
  proton::message next_request() {
    const auto before = taken_;
    REQUIRE(device.until([this, before] { return requests().size() > before; }));
    ++taken_;
    return requests()[before];
  }
  // The device has done its part, so its loop need not run.
  static HttpsAnswer result(std::future<HttpsAnswer>& call) {
    REQUIRE(call.wait_for(20s) == std::future_status::ready);
    return call.get();
  }

  RawClient device;
  std::string owner;

 private:
  std::vector<proton::message> requests() {
    std::vector<proton::message> found;
    for (const auto& entry : device.incoming) {
      if (entry.address == kMethods) found.push_back(entry.message);
    }
    return found;
  }
  std::size_t taken_ = 0;
};

}  // namespace

TEST_CASE_METHOD(Scene, "a method goes to the device with a uuid, and its answer comes back to the service") {
  attach();
  auto called = call(kReboot);
  const auto request = next_request();
  CHECK(proton::get<std::string>(request.properties().get("IoThub-methodname")) == "reboot");
  CHECK(request.correlation_id().type() == proton::UUID);
  CHECK(text_of(request) == R"({"delay":3})");
  CHECK(device.send(kMethods, answer_to(request, 207, R"({"done":true})")) == "accepted");
  const auto answer = result(called);
  CHECK(answer.status == 200);
  CHECK(answer.body.at("status").as_int64() == 207);
  CHECK(answer.body.at("payload").at("done").as_bool());
}

TEST_CASE_METHOD(Scene, "a device without method links is 404103, also for the control socket") {
  auto called = call(kReboot);
  const auto answer = called.get();
  CHECK(answer.status == 404);
  CHECK(answer.body.at("Message").as_string().find("404103") != std::string::npos);
  const auto same = ask(R"({"op":"call_method","device":"d1","method":"reboot"})");
  CHECK(same.at("http_status").as_int64() == 404);
  CHECK(same.at("code").as_int64() == 404103);
}

TEST_CASE_METHOD(Scene, "a device that connects in time gets the call that waits for it") {
  auto called = call(R"({"methodName":"m","connectTimeoutInSeconds":20})");
  attach();
  CHECK(device.send(kMethods, answer_to(next_request(), 200, "")) == "accepted");
  const auto answer = result(called);
  CHECK(answer.body.at("status").as_int64() == 200);
  CHECK(answer.body.at("payload").is_null());
}

TEST_CASE_METHOD(Scene, "no answer in time is 504, and what comes late answers nothing") {
  attach();
  auto called = std::async(std::launch::async, [this] {
    return hub->control(R"({"op":"call_method","device":"d1","method":"m","response_timeout_ms":200})");
  });
  const auto request = next_request();
  const auto answer = json::parse(called.get());
  CHECK(answer.at("http_status").as_int64() == 504);
  CHECK(answer.at("code").as_int64() == 504101);
  CHECK(device.send(kMethods, answer_to(request, 200, "{}")) == "accepted");
  auto stranger = answer_to(request, 200, "{}");
  stranger.correlation_id(std::string("text"));
  CHECK(device.send(kMethods, stranger) == "accepted");
  CHECK(ask(R"({"op":"status"})").at("method_answers_unmatched").as_int64() == 2);
}

TEST_CASE_METHOD(Scene, "two calls at once are answered in any order, each its own") {
  attach();
  auto first = call(kReboot);
  const auto one = next_request();
  auto second = call(kReboot);
  const auto two = next_request();
  CHECK(device.send(kMethods, answer_to(two, 202, "{}")) == "accepted");
  CHECK(device.send(kMethods, answer_to(one, 201, "{}")) == "accepted");
  CHECK(result(first).body.at("status").as_int64() == 201);
  CHECK(result(second).body.at("status").as_int64() == 202);
}

TEST_CASE_METHOD(Scene, "a call waits for credit, and losing the link ends a call that was sent") {
  attach(0);
  auto called = call(kReboot);
  CHECK_FALSE(device.until([this] { return device.incoming.size() > 1; }, 200ms));
  device.give_credit(kMethods, 1);
  static_cast<void>(next_request());
  ask(R"({"op":"detach","device":"d1","link":"methods"})");
  const auto answer = result(called);
  CHECK(answer.status == 404);
  CHECK(answer.body.at("Message").as_string().find("404104") != std::string::npos);
}

TEST_CASE_METHOD(Scene, "an answer that cannot be read is told as the device's fault") {
  attach();
  auto called = call(kReboot);
  SECTION("not JSON") {
    CHECK(device.send(kMethods, answer_to(next_request(), 200, "{")) == "accepted");
  }
  SECTION("a status that is no int") {
    auto answer = answer_to(next_request(), 200, "{}");
    answer.properties().put("IoThub-status", std::string("200"));
    CHECK(device.send(kMethods, answer) == "accepted");
  }
  CHECK(result(called).status == 500);
}

TEST_CASE_METHOD(Scene, "a call that the hub does not take is refused with the reason") {
  const auto status = [this](const std::string& body) {
    return https(*hub, owner, "POST", "/twins/d1/methods", body).status;
  };
  CHECK(status("{}") == 400);
  CHECK(status(R"({"methodName":5})") == 400);
  CHECK(status(R"({"methodName":"m","responseTimeoutInSeconds":1})") == 400);
  CHECK(status(R"({"methodName":"m","responseTimeoutInSeconds":"x"})") == 400);
  CHECK(status(R"({"methodName":"m","connectTimeoutInSeconds":301})") == 400);
  CHECK(status(R"({"methodName":"m","payload":")" + std::string(128 * 1024, 'x') + "\"}") == 413);
  CHECK(https(*hub, owner, "POST", "/twins/nobody/methods", kReboot).status == 404);
}
