// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/command_router.h"

#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

class FixedClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return {}; }
  [[nodiscard]] WallTime wall() const override { return WallTime(Milliseconds(1'000'000)); }
};

struct Bench {
  Bench() = default;
  FakeUplink uplink;
  FixedClock clock;
  Metrics metrics;
  std::vector<std::pair<Command, Completion<Outcome>>> delivered;
  std::vector<std::pair<CommandRecord, Completion<Recorded>>> recorded;
  std::vector<Outcome::Kind> finished;
  CommandRouter router{
      {.deliver = [this](DeviceSlot, Command command,
                         Completion<Outcome> done) { delivered.emplace_back(std::move(command), std::move(done)); },
       .settle = [this](CommandTag tag, const Outcome& outcome) { uplink.settle(tag, outcome); },
       .record = [this](CommandRecord record,
                        Completion<Recorded> done) { recorded.emplace_back(std::move(record), std::move(done)); },
       .post = [](std::function<void()> task) { task(); },
       .finished = [this](DeviceSlot, Outcome::Kind kind) { finished.push_back(kind); }},
      clock,
      metrics};

  // What adapter and store still owe is abandoned while there is somebody to hear it.
  ~Bench() {
    delivered.clear();
    recorded.clear();
  }

  void command(std::uint64_t sequence, CommandTag tag, std::int64_t enqueued = 5) {
    Command out{device_id("a")};
    out.sequence = sequence;
    out.enqueued = WallTime(Milliseconds(enqueued));
    router.on_command({0}, std::move(out), tag);
  }
};

}  // namespace

TEST_CASE("a device's outcome is committed before it goes up, exactly once", "[C-01]") {
  Bench bench;
  bench.command(1, {{}, 1, 10});
  REQUIRE(bench.delivered.size() == 1);
  bench.delivered[0].second(Outcome::accepted());
  REQUIRE(bench.uplink.settled.empty());
  REQUIRE(bench.recorded.size() == 1);
  bench.recorded[0].second(Recorded{true});
  REQUIRE(bench.uplink.settled.size() == 1);
  REQUIRE(bench.uplink.settled[0].tag.delivery == 10);
  REQUIRE(bench.uplink.settled[0].outcome.kind == Outcome::Kind::accepted);
  REQUIRE(bench.finished == std::vector{Outcome::Kind::accepted});
}

TEST_CASE("a redelivery repeats the outcome, not the act, also after a restart", "[C-01]") {
  Bench bench;
  bench.command(1, {{}, 1, 10});
  bench.delivered[0].second(Outcome::accepted());
  bench.recorded[0].second(Recorded{true});
  bench.command(1, {{}, 2, 11});
  REQUIRE(bench.delivered.size() == 1);
  REQUIRE(bench.uplink.settled.size() == 2);

  Bench restarted;
  restarted.router.remember(
      {0}, {device_id("a"), 1, WallTime(Milliseconds(5)), "", Outcome::rejected("x:y", "no"), WallTime{}});
  restarted.command(1, {{}, 1, 1});
  REQUIRE(restarted.delivered.empty());
  REQUIRE(restarted.uplink.settled[0].outcome.kind == Outcome::Kind::rejected);
  REQUIRE(restarted.uplink.settled[0].outcome.condition == "x:y");
}

TEST_CASE("the same sequence in a queue that was made anew is another command", "[C-01]") {
  Bench bench;
  bench.router.remember({0}, {device_id("a"), 1, WallTime(Milliseconds(5)), "", Outcome::accepted(), WallTime{}});
  bench.command(1, {{}, 1, 1}, 6);
  REQUIRE(bench.delivered.size() == 1);
}

TEST_CASE("a redelivery while the device still works settles the newest delivery only", "[C-01]") {
  Bench bench;
  bench.command(1, {{}, 1, 10});
  bench.command(1, {{}, 2, 20});
  REQUIRE(bench.delivered.size() == 1);
  bench.delivered[0].second(Outcome::accepted());
  bench.recorded[0].second(Recorded{true});
  REQUIRE(bench.uplink.settled.size() == 1);
  REQUIRE(bench.uplink.settled[0].tag.delivery == 20);
}

TEST_CASE("a released command is not remembered, a dropped one is released, an expired one rejected without a delivery",
          "[C-01]") {
  Bench bench;
  bench.command(1, {{}, 1, 10});
  bench.delivered.clear();  // the adapter lost it
  REQUIRE(bench.recorded.empty());
  REQUIRE(bench.uplink.settled.size() == 1);
  REQUIRE(bench.uplink.settled[0].outcome.kind == Outcome::Kind::released);
  bench.command(1, {{}, 1, 11});
  REQUIRE(bench.delivered.size() == 1);

  Command old{device_id("a")};
  old.sequence = 2;
  old.expires = WallTime(Milliseconds(999'999));
  bench.router.on_command({0}, std::move(old), {{}, 1, 12});
  REQUIRE(bench.delivered.size() == 1);
  REQUIRE(bench.recorded.size() == 1);
  REQUIRE(bench.recorded[0].first.outcome.kind == Outcome::Kind::rejected);
}

TEST_CASE("an outcome that cannot be committed is not told to the hub", "[C-01]") {
  Bench bench;
  bench.command(1, {{}, 1, 10});
  bench.delivered[0].second(Outcome::accepted());
  bench.recorded.clear();
  REQUIRE(bench.uplink.settled.empty());
}

TEST_CASE("with as many known outcomes as there may be, a further one costs no more than the first", "[C-01]") {
  Bench bench;
  constexpr std::uint64_t kMost = 100'000;
  for (std::uint64_t i = 1; i <= kMost; ++i) {
    bench.router.remember({0}, {device_id("a"), i, WallTime(Milliseconds(5)), "", Outcome::accepted(), WallTime{}});
  }
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = kMost + 1; i <= kMost + 3'000; ++i) {
    bench.command(i, {{}, 1, i});
    bench.delivered.back().second(Outcome::accepted());
    bench.recorded.back().second(Recorded{true});
  }
  // It was 100 ms for each; generous for a slow machine.
  REQUIRE(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
  // The oldest are forgotten, the newest are not.
  const auto delivered = bench.delivered.size();
  bench.command(kMost + 3'000, {{}, 2, 1});
  bench.command(3'001, {{}, 2, 2});
  REQUIRE(bench.delivered.size() == delivered);
  bench.command(3'000, {{}, 2, 3});
  REQUIRE(bench.delivered.size() == delivered + 1);
}
