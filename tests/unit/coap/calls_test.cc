// SPDX-License-Identifier: Apache-2.0
// Methods and desired properties in a device's lane, and their paths.
#include <optional>
#include <string>

#include "adapters/coap/command_lane.h"
#include "adapters/coap/request_map.h"
#include "tests/support/catch.h"
#include "tests/support/make_command.h"

using namespace trunkline;
using namespace std::chrono_literals;
using coap::CommandLane;

namespace {

const SteadyTime kNow{1'000s};

struct Fixture {
  void add(CommandKind kind, std::uint64_t sequence) {
    auto command = test::make_command("tank", sequence, "{}", kNow + 10s);
    command.kind = kind;
    lane.add(std::move(command), Completion<Outcome>([this](Outcome value) { outcome = std::move(value); }), true,
             kNow);
    lane.next();
    lane.on_notified();
  }
  std::optional<Outcome> outcome;
  CommandLane lane{CommandDone::written, 1024};
};

}  // namespace

TEST_CASE("a method is done by its answer alone, whatever says that a message is") {
  Fixture f;
  f.add(CommandKind::method, 7);
  CHECK_FALSE(f.outcome);
  CHECK_FALSE(f.lane.on_result("7"));
  CHECK_FALSE(f.lane.on_result("8", CommandKind::method, Outcome::answered({200, "1"})));
  CHECK(f.lane.on_result("7", CommandKind::method, Outcome::answered({409, "2"})));
  REQUIRE(f.outcome);
  CHECK(f.outcome->response->status == 409);
  // Said again, because the acknowledgement was lost.
  CHECK(f.lane.on_result("7", CommandKind::method, Outcome::answered({409, "2"})));
}

TEST_CASE("desired properties are confirmed under their id") {
  Fixture f;
  f.add(CommandKind::desired, 9);
  CHECK_FALSE(f.lane.on_result("9", CommandKind::method));
  CHECK(f.lane.on_result("9", CommandKind::desired));
  REQUIRE(f.outcome);
  CHECK(f.outcome->kind == Outcome::Kind::accepted);
}

TEST_CASE("each path of methods and twins has its role; with push two of them are the device's own") {
  DeviceMap map{.id = *DeviceId::parse("tank")};
  map.coap = CoapMap{{}, "/t", {}, {}};
  map.coap->method = "/m";
  map.coap->method_reply = "/a";
  map.coap->desired = "/d";
  map.coap->reported = "/r";
  using Role = coap::RequestMap::Role;
  const auto role = [](const DeviceMap& of, const std::string& path, coap::Method method) -> std::optional<Role> {
    const auto made = coap::RequestMap::make({of});
    REQUIRE(made);
    coap::Request request;
    request.path = path;
    request.method = method;
    const auto decision = made->decide(request, {});
    return decision.refuse ? std::nullopt : std::optional(decision.role);
  };
  CHECK(role(map, "/m", coap::Method::get) == Role::method);
  CHECK(role(map, "/a", coap::Method::post) == Role::method_reply);
  CHECK(role(map, "/d", coap::Method::get) == Role::desired);
  CHECK(role(map, "/r", coap::Method::post) == Role::reported);
  CHECK_FALSE(role(map, "/m", coap::Method::post));
  map.coap->push = CoapPush{"10.0.0.7", 5683, "/cmd"};
  CHECK_FALSE(role(map, "/m", coap::Method::get));
  CHECK_FALSE(role(map, "/d", coap::Method::get));
  CHECK(role(map, "/r", coap::Method::post) == Role::reported);
}
