// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/shaping_ingress.h"

#include "tests/support/catch.h"
#include "tests/support/fake_ingress.h"

namespace trunkline {
namespace {

using namespace std::chrono_literals;

class HandClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const override { return WallTime(1'700'000'000s); }
  [[nodiscard]] SteadyTime steady() const override { return now; }
  SteadyTime now{1000s};
};

struct Rig {
  explicit Rig(PayloadMap map) {
    DeviceMap device{DeviceId::parse("d").value()};
    device.shape = std::make_shared<const PayloadMap>(std::move(map));
    shaping.emplace(inner, std::vector<DeviceMap>{device}, clock, metrics);
  }
  // What the sender was told last: "safe", …, or "-" while it waits.
  std::shared_ptr<std::string> say(const std::string& body, bool waits = true, const std::string& device = "d") {
    Telemetry telemetry{DeviceId::parse(device).value(), body, "", "", {}, "", Source::mqtt, waits};
    telemetry.captures = {{"what", body}};
    auto answer = std::make_shared<std::string>("-");
    shaping->submit(std::move(telemetry), Completion<Admission>([answer](const Admission& admission) {
                      *answer = std::string(to_string(admission.kind));
                    }));
    return answer;
  }
  HandClock clock;
  Metrics metrics;
  test::FakeIngress inner;
  std::optional<ShapingIngress> shaping;
};

PayloadMap change_only() {
  PayloadMap map;
  map.change_only = true;
  return map;
}

PayloadMap grouped() {
  PayloadMap map;
  map.name = "v{what}";
  map.group = 2s;
  return map;
}

}  // namespace

TEST_CASE("members that are state are reported, whatever becomes of the message", "[shaping]") {
  auto map = change_only();
  map.report = {"mode", "fw"};
  map.every = 10s;
  Rig rig(map);
  rig.inner.answer_by([](const Telemetry&) { return Admission::safe(); });
  rig.say(R"({"t":20,"mode":"eco"})");
  rig.say(R"({"t":21,"mode":"full","fw":"1.2"})");  // too often: not sent, but its state counts
  rig.say(R"({"t":22})");
  rig.say("no JSON");
  CHECK(rig.inner.bodies() == std::vector<std::string>{R"({"t":20,"mode":"eco"})"});
  const auto reports = rig.inner.reports();
  REQUIRE(reports.size() == 2);
  CHECK(reports[0].second == R"({"mode":"eco"})");
  CHECK(reports[1].second == R"({"mode":"full","fw":"1.2"})");
}

TEST_CASE("a device without a map passes untouched", "[shaping]") {
  Rig rig(change_only());
  rig.inner.answer_by([](const Telemetry&) { return Admission::safe(); });
  CHECK(*rig.say("\xff", true, "other") == "safe");
  CHECK(rig.inner.bodies() == std::vector<std::string>{"\xff"});
}

TEST_CASE("what a map drops is acknowledged and counted, what it cannot read is refused", "[shaping][D-04]") {
  Rig rig(change_only());
  rig.inner.answer_by([](const Telemetry&) { return Admission::safe(); });
  CHECK(*rig.say("1") == "safe");
  CHECK(*rig.say("1") == "safe");
  CHECK(*rig.say("no JSON") == "refused");
  CHECK(rig.inner.bodies() == std::vector<std::string>{"1"});
  CHECK(rig.metrics.metric("shaped_dropped_total", "", "reason=\"unchanged\"").value() == 1);
  CHECK(rig.metrics.metric("shaped_refused_total", "").value() == 1);
}

TEST_CASE("a throttled message that is offered again is no repetition", "[shaping][D-01]") {
  Rig rig(change_only());
  bool full = true;
  rig.inner.answer_by(
      [&full](const Telemetry&) { return full ? Admission::throttled(1s, "full") : Admission::safe(); });
  CHECK(*rig.say("1") == "throttled");
  full = false;
  CHECK(*rig.say("1") == "safe");
  CHECK(rig.inner.bodies() == std::vector<std::string>{"1", "1"});
}

TEST_CASE("who can wait is answered when the group is safe, who cannot at once", "[shaping][D-01]") {
  Rig rig(grouped());
  const auto first = rig.say("1", false);
  CHECK(*rig.say("2", true) == "safe");
  CHECK(*first == "-");
  rig.shaping->tick();
  CHECK(rig.inner.received().empty());
  rig.clock.now += 2s;
  rig.shaping->tick();
  CHECK(rig.inner.bodies() == std::vector<std::string>{R"({"v1":1,"v2":2})"});
  CHECK(*first == "-");
  REQUIRE(rig.inner.answer(Admission::throttled(1s, "full")));
  CHECK(*first == "-");
  rig.shaping->tick();
  REQUIRE(rig.inner.answer(Admission::safe()));
  CHECK(*first == "safe");
  CHECK(rig.inner.bodies().size() == 2);
}

TEST_CASE("a throttled group of a pipelining source waits for no member that is never offered again",
          "[shaping][D-03]") {
  Rig rig(grouped());
  using Offer = Telemetry::Offer;
  std::vector<Offer> offers;
  rig.inner.answer_by([&offers](const Telemetry& telemetry) {
    offers.push_back(telemetry.offer);
    return offers.size() == 1 ? Admission::throttled(1s, "full") : Admission::safe();
  });
  const auto say = [&rig](const std::string& body) {
    Telemetry telemetry{DeviceId::parse("d").value(), body, "", "", {}, "", Source::tcp};
    telemetry.offer = Offer::in_line;
    telemetry.captures = {{"what", body}};
    rig.shaping->submit(std::move(telemetry), Completion<Admission>([](const Admission&) {}));
  };
  say("1");
  say("2");
  rig.clock.now += 3s;
  rig.shaping->tick();
  rig.shaping->tick();
  CHECK(offers == std::vector{Offer::alone, Offer::alone});
}

TEST_CASE("at the stop an open group goes out", "[shaping]") {
  Rig rig(grouped());
  rig.shaping->tick(true);
  CHECK(rig.inner.received().empty());
  rig.say("1");
  rig.shaping->tick(true);
  CHECK(rig.inner.bodies() == std::vector<std::string>{R"({"v1":1})"});
  rig.inner.answer(Admission::safe());
}

}  // namespace trunkline
