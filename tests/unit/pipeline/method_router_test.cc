// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/method_router.h"

#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

class HandClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return now; }
  [[nodiscard]] WallTime wall() const override { return WallTime(Milliseconds(1'000'000)); }
  SteadyTime now{std::chrono::hours(1)};
};

constexpr std::uint64_t kFirst = 5'000;

struct Bench {
  Bench() { router.add({0}, device_id("a"), Milliseconds(10'000)); }
  // What the adapter still owes is abandoned while there is somebody to hear it.
  ~Bench() { delivered.clear(); }

  void call(std::uint64_t number, std::string payload = "{}", DeviceSlot slot = {0}) {
    router.on_method(slot, {"open", std::move(payload)}, {{0}, 1, number});
  }
  void pass(std::int64_t ms) {
    clock.now += Milliseconds(ms);
    router.tick(clock.now);
  }
  [[nodiscard]] std::vector<int> statuses() const {
    std::vector<int> out;
    for (const auto& [tag, response] : responded) out.push_back(response.status);
    return out;
  }

  HandClock clock;
  Metrics metrics;
  bool reachable = true;
  std::vector<std::pair<Command, Completion<Outcome>>> delivered;
  std::vector<std::pair<MethodTag, MethodResponse>> responded;
  MethodRouter router{
      {.deliver = [this](DeviceSlot, Command command,
                         Completion<Outcome> done) { delivered.emplace_back(std::move(command), std::move(done)); },
       .respond = [this](MethodTag tag, const MethodResponse& response) { responded.emplace_back(tag, response); },
       .post = [](std::function<void()> task) { task(); },
       .reachable = [this](DeviceSlot) { return reachable; }},
      clock,
      metrics,
      kFirst};
};

}  // namespace

TEST_CASE("a method's response is the device's answer, once") {
  Bench bench;
  bench.call(7, R"({"speed":3})");
  REQUIRE(bench.delivered.size() == 1);
  const auto& command = bench.delivered[0].first;
  CHECK(command.kind == CommandKind::method);
  CHECK(command.name == "open");
  CHECK(command.body == R"({"speed":3})");
  CHECK(command.sequence == kFirst);
  CHECK(command.deadline == bench.clock.now + Milliseconds(10'000));
  bench.delivered[0].second(Outcome::answered({207, R"("done")"}));
  bench.pass(20'000);
  REQUIRE(bench.responded.size() == 1);
  CHECK(bench.responded[0].first.call == 7);
  CHECK(bench.responded[0].second.status == 207);
  CHECK(bench.responded[0].second.payload == R"("done")");
}

TEST_CASE("calls of one device go one at a time, in their order, and beyond the queue they are 429") {
  Bench bench;
  for (std::uint64_t i = 0; i < 2 + MethodRouter::kWaiting; ++i) bench.call(i);
  REQUIRE(bench.statuses() == std::vector<int>{MethodResponse::kBusy});
  for (std::size_t i = 0; i <= MethodRouter::kWaiting; ++i) {
    REQUIRE(bench.delivered.size() == i + 1);
    CHECK(bench.delivered[i].first.sequence == kFirst + i);
    bench.delivered[i].second(Outcome::answered({200, std::to_string(i)}));
    CHECK(bench.responded.back().second.payload == std::to_string(i));
  }
  CHECK(bench.responded.size() == 2 + MethodRouter::kWaiting);
}

TEST_CASE("a device that does not answer is 504, and its late answer answers nobody") {
  Bench bench;
  bench.call(1);
  bench.pass(5'000);
  bench.call(2);
  bench.pass(5'000);
  REQUIRE(bench.statuses() == std::vector<int>{MethodResponse::kTimeout});
  CHECK(bench.responded[0].first.call == 1);
  // The second has the line now; the first's answer comes.
  REQUIRE(bench.delivered.size() == 2);
  bench.delivered[0].second(Outcome::answered({200, "\"late\""}));
  CHECK(bench.responded.size() == 1);
  bench.delivered[1].second(Outcome::answered({200, "\"mine\""}));
  REQUIRE(bench.responded.size() == 2);
  CHECK(bench.responded[1].first.call == 2);
  CHECK(bench.responded[1].second.payload == "\"mine\"");
}

TEST_CASE("a call that waits until its time is over is 504 without having been begun") {
  Bench bench;
  bench.call(1);
  bench.call(2);
  bench.pass(10'000);
  CHECK(bench.statuses() == std::vector<int>{MethodResponse::kTimeout, MethodResponse::kTimeout});
  CHECK(bench.delivered.size() == 1);
  CHECK(bench.router.tick(bench.clock.now) == kNever);
}

TEST_CASE("what an adapter says becomes the status that the caller sees") {
  struct Case {
    Outcome outcome;
    int status;
  };
  const std::vector<Case> cases = {
      {Outcome::accepted(), 200},
      {Outcome::away("gone"), MethodResponse::kOffline},
      {Outcome::busy("line full"), MethodResponse::kBusy},
      {Outcome::released("the broker is away"), MethodResponse::kFailed},
      {Outcome::rejected("amqp:not-implemented", "no"), MethodResponse::kNotMapped},
      {Outcome::rejected("amqp:not-allowed", "no"), MethodResponse::kBadRequest},
      {Outcome::abandoned(), MethodResponse::kFailed},
  };
  for (const auto& one : cases) {
    Bench bench;
    bench.call(1);
    bench.delivered[0].second(one.outcome);
    CHECK(bench.statuses() == std::vector<int>{one.status});
  }
  Bench bench;
  bench.call(1);
  bench.clock.now += Milliseconds(10'000);
  bench.delivered[0].second(Outcome::released("the device did not answer in time"));
  CHECK(bench.statuses() == std::vector<int>{MethodResponse::kTimeout});
}

TEST_CASE("a call that cannot be made is answered at once, and the device hears nothing of it") {
  Bench bench;
  bench.call(1, "{not json");
  bench.call(2, std::string(MethodResponse::kMaxPayload + 1, ' '));
  bench.call(3, "{}", {5});
  bench.reachable = false;
  bench.call(4);
  CHECK(bench.statuses() == std::vector<int>{MethodResponse::kBadRequest, MethodResponse::kBadRequest,
                                             MethodResponse::kNotMapped, MethodResponse::kOffline});
  CHECK(bench.delivered.empty());
}

TEST_CASE("a call without a payload carries null") {
  Bench bench;
  bench.call(1, "");
  REQUIRE(bench.delivered.size() == 1);
  CHECK(bench.delivered[0].first.body == "null");
}

TEST_CASE("callers that are lost get no response, and what they wait for is not begun") {
  Bench bench;
  bench.call(1);
  bench.call(2);
  bench.router.on_callers_lost({0});
  bench.delivered[0].second(Outcome::answered({200, "1"}));
  CHECK(bench.responded.empty());
  CHECK(bench.delivered.size() == 1);
  bench.call(3);
  REQUIRE(bench.delivered.size() == 2);
  bench.delivered[1].second(Outcome::answered({200, "3"}));
  CHECK(bench.statuses() == std::vector<int>{200});
}
