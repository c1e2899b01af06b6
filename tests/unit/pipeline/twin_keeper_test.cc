// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/twin_keeper.h"

#include "gateway/mapping/json_text.h"
#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"

using namespace trunkline;
using namespace trunkline::test;
using Kind = TwinRequest::Kind;

namespace {

class HandClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return now; }
  [[nodiscard]] WallTime wall() const override { return WallTime(Milliseconds(1'700'000'000'000)); }
  SteadyTime now{std::chrono::hours(1)};
};

const DeviceSlot kSlot{0};

struct Bench {
  explicit Bench(TwinKeeper::Options options = {}, bool writes = true)
      : keeper({.deliver =
                    [this](DeviceSlot, Command command, Completion<Outcome> done) {
                      delivered.emplace_back(std::move(command), std::move(done));
                    },
                .ask =
                    [this](DeviceSlot, const TwinRequest& request) {
                      if (link) asked.push_back(request);
                      return link;
                    },
                .post = [](std::function<void()> task) { task(); },
                .reachable = [this](DeviceSlot) { return reachable; },
                .heard = [this](DeviceSlot) { return heard; },
                .save = [this](TwinCopy copy) { saved.push_back(std::move(copy)); },
                .reserve = [this](std::uint64_t bytes) { return (reserved += bytes) <= room; },
                .give_back = [this](std::uint64_t bytes) { reserved -= bytes; }},
               options, clock, metrics, 9'000, 1) {
    keeper.add(kSlot, device_id("a"), writes);
  }
  ~Bench() { delivered.clear(); }

  SteadyTime pass(std::int64_t ms = 0) {
    clock.now += Milliseconds(ms);
    return keeper.tick(clock.now, clock.wall());
  }
  void answer(int status, std::string document = {}) {
    keeper.on_twin_answer(kSlot, {asked.back().number, status, std::move(document), 0});
    pass();
  }
  void come(bool is_reachable) {
    reachable = is_reachable;
    keeper.presence(kSlot, reachable ? Presence::reachable : Presence::away);
    pass();
  }
  // Links up, subscribed, fetched.
  void load(const std::string& desired, const std::string& reported = "{}") {
    link = true;
    keeper.on_twin_link(kSlot, true);
    pass();
    REQUIRE(asked.back().kind == Kind::subscribe);
    answer(200);
    REQUIRE(asked.back().kind == Kind::get);
    answer(200, R"({"desired":)" + desired + R"(,"reported":)" + reported + "}");
  }
  void confirm() {
    delivered.back().second(Outcome::accepted());
    pass();
  }

  HandClock clock;
  Metrics metrics;
  bool link = false;
  bool reachable = false;
  SteadyTime heard{};
  std::vector<std::pair<Command, Completion<Outcome>>> delivered;
  std::vector<TwinRequest> asked;
  std::vector<TwinCopy> saved;
  std::uint64_t reserved = 0;
  std::uint64_t room = 1 << 20;
  TwinKeeper keeper;
};

}  // namespace

TEST_CASE("desired properties are fetched when the links come up, and written to the device once") {
  Bench bench;
  bench.come(true);
  bench.load(R"({"rate":5,"$version":3})");
  REQUIRE(bench.delivered.size() == 1);
  CHECK(bench.delivered[0].first.kind == CommandKind::desired);
  CHECK(bench.delivered[0].first.body == R"({"rate":5})");
  CHECK(bench.delivered[0].first.version == 3);
  bench.confirm();
  bench.pass(600'000);
  CHECK(bench.delivered.size() == 1);
  CHECK(bench.keeper.status(kSlot).confirmed == 3);
}

TEST_CASE("a change is written as a patch, deletions included, and again until it is confirmed") {
  Bench bench;
  bench.come(true);
  bench.load(R"({"rate":5,"mode":"eco","$version":1})");
  bench.confirm();
  bench.keeper.on_desired(kSlot, R"({"rate":null,"mode":"full","$version":2})");
  bench.pass();
  REQUIRE(bench.delivered.size() == 2);
  CHECK(read_json(bench.delivered[1].first.body).value() == *read_json(R"({"rate":null,"mode":"full"})"));
  bench.delivered[1].second(Outcome::released("no answer"));
  bench.pass();
  CHECK(bench.delivered.size() == 2);
  bench.pass(60'000);
  REQUIRE(bench.delivered.size() == 3);
  CHECK(bench.delivered[2].first.sequence != bench.delivered[1].first.sequence);
  bench.confirm();
  CHECK(bench.keeper.status(kSlot).confirmed == 2);
}

TEST_CASE("a device that comes back gets its whole desired state while the hub is away") {
  Bench bench;
  bench.come(true);
  bench.load(R"({"rate":5,"$version":1})");
  bench.confirm();
  bench.link = false;
  bench.keeper.on_twin_link(kSlot, false);
  bench.come(false);
  bench.come(true);
  REQUIRE(bench.delivered.size() == 2);
  CHECK(bench.delivered[1].first.body == R"({"rate":5})");
}

TEST_CASE("nothing is written to a device that is away, and a rejected state waits for another one") {
  Bench bench;
  bench.load(R"({"rate":5,"$version":1})");
  CHECK(bench.delivered.empty());
  bench.come(true);
  REQUIRE(bench.delivered.size() == 1);
  bench.delivered[0].second(Outcome::rejected("amqp:not-allowed", "rate is out of range"));
  bench.pass(600'000);
  CHECK(bench.delivered.size() == 1);
  CHECK(bench.keeper.status(kSlot).fault.find("out of range") != std::string::npos);
  bench.keeper.on_desired(kSlot, R"({"rate":4,"$version":2})");
  bench.pass();
  REQUIRE(bench.delivered.size() == 2);
  CHECK(bench.delivered[1].first.body == R"({"rate":4})");
}

TEST_CASE("notifications that are old are dropped, and after a gap the twin is fetched again") {
  Bench bench;
  bench.come(true);
  bench.load(R"({"rate":5,"$version":4})");
  bench.confirm();
  const auto before = bench.asked.size();
  bench.keeper.on_desired(kSlot, R"({"rate":1,"$version":4})");
  bench.pass();
  CHECK(bench.delivered.size() == 1);
  CHECK(bench.asked.size() == before);
  bench.keeper.on_desired(kSlot, R"({"rate":1,"$version":6})");
  bench.pass();
  REQUIRE(bench.asked.size() == before + 1);
  CHECK(bench.asked.back().kind == Kind::get);
  bench.answer(200, R"({"desired":{"rate":1,"$version":6},"reported":{}})");
  REQUIRE(bench.delivered.size() == 2);
  CHECK(bench.delivered[1].first.version == 6);
}

TEST_CASE("reports are merged, only what the hub does not know goes up, and not more often than allowed") {
  Bench bench({}, false);
  bench.keeper.report(kSlot, R"({"temp":20,"door":"open"})");
  bench.load(R"({"$version":1})", R"({"door":"open","$version":7})");
  REQUIRE(bench.asked.back().kind == Kind::report);
  CHECK(bench.asked.back().patch == R"({"temp":20})");
  bench.answer(204);
  const auto before = bench.asked.size();
  bench.keeper.report(kSlot, R"({"temp":21})");
  bench.keeper.report(kSlot, R"({"temp":22})");
  bench.keeper.report(kSlot, R"({"door":null})");
  bench.pass();
  CHECK(bench.asked.size() == before);
  bench.pass(1'000);
  REQUIRE(bench.asked.size() == before + 1);
  CHECK(read_json(bench.asked.back().patch).value() == *read_json(R"({"temp":22,"door":null})"));
  bench.answer(204);
  bench.keeper.report(kSlot, R"({"temp":22})");
  bench.pass(5'000);
  CHECK(bench.asked.size() == before + 1);
}

TEST_CASE("a report that was under way when the link went is compared with the twin and said again if need be") {
  Bench bench({}, false);
  bench.load("{}");
  bench.keeper.report(kSlot, R"({"temp":20})");
  bench.pass();
  REQUIRE(bench.asked.back().kind == Kind::report);
  bench.keeper.on_twin_link(kSlot, false);
  bench.load("{}", "{}");
  bench.pass(1'000);
  REQUIRE(bench.asked.back().kind == Kind::report);
  CHECK(bench.asked.back().patch == R"({"temp":20})");
  bench.keeper.on_twin_link(kSlot, false);
  const auto before = bench.asked.size();
  bench.load("{}", R"({"temp":20})");
  bench.pass(10'000);
  CHECK(bench.asked.size() == before + 2);
}

TEST_CASE("a hub that refuses, conflicts or is silent is asked again, and a patch it can never take is given up") {
  Bench bench({}, false);
  bench.load("{}");
  bench.keeper.report(kSlot, R"({"temp":20})");
  bench.pass();
  bench.answer(503);
  bench.pass(60'000);
  REQUIRE(bench.asked.back().kind == Kind::report);
  bench.answer(412);
  bench.pass(60'000);
  REQUIRE(bench.asked.back().kind == Kind::get);
  bench.answer(200, R"({"desired":{},"reported":{}})");
  REQUIRE(bench.asked.back().kind == Kind::report);
  bench.pass(20'000);  // silence
  bench.pass(60'000);
  REQUIRE(bench.asked.back().kind == Kind::get);
  bench.answer(200, R"({"desired":{},"reported":{}})");
  REQUIRE(bench.asked.back().kind == Kind::report);
  bench.answer(400);
  const auto before = bench.asked.size();
  bench.pass(600'000);
  CHECK(bench.asked.size() == before);
  bench.keeper.report(kSlot, R"({"temp":21})");
  bench.pass();
  CHECK(bench.asked.size() == before + 1);
}

TEST_CASE("reports that would grow beyond a twin are refused, and what was there stays") {
  Bench bench({}, false);
  for (int i = 0; i < 20; ++i) {
    bench.keeper.report(kSlot, R"({"part)" + std::to_string(i) + R"(":")" + std::string(3'000, 'x') + "\"}");
  }
  CHECK(bench.keeper.status(kSlot).fault.find("32 KiB") != std::string::npos);
  // Others that fit do not hide it.
  bench.keeper.report(kSlot, R"({"door":"open"})");
  CHECK(bench.keeper.status(kSlot).fault.find("32 KiB") != std::string::npos);
  bench.load("{}");
  REQUIRE(bench.asked.back().kind == Kind::report);
  CHECK(bench.asked.back().patch.size() < 33 * 1024);
  CHECK(bench.asked.back().patch.size() > 29 * 1024);
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(bench.keeper.status(kSlot).fault.empty());
    bench.keeper.report(kSlot, R"({"part)" + std::to_string(i) + R"(":null})");
  }
  CHECK(bench.keeper.status(kSlot).fault.empty());
}

TEST_CASE("the twin says whether the device is connected, and what it has") {
  Bench bench({.report_state = true});
  bench.come(true);
  bench.load(R"({"rate":5,"$version":3})");
  REQUIRE(bench.asked.back().kind == Kind::report);
  const auto first = read_json(bench.asked.back().patch).value();
  CHECK(first.at("gateway").at("connected") == json::value(true));
  CHECK(first.at("gateway").as_object().contains("since"));
  bench.answer(200);
  bench.confirm();
  bench.pass(1'000);
  REQUIRE(bench.asked.back().kind == Kind::report);
  CHECK(read_json(bench.asked.back().patch).value().at("gateway").at("desiredVersion") == json::value(3));
  bench.answer(200);
  bench.heard = bench.clock.now;
  bench.come(false);
  bench.pass(1'000);
  const auto last = read_json(bench.asked.back().patch).value();
  CHECK(last.at("gateway").at("connected") == json::value(false));
  CHECK(last.at("gateway").at("lastHeard") == json::value("2023-11-14T22:13:20.000Z"));
}

TEST_CASE("with nothing to do the keeper sleeps") {
  Bench bench({}, false);
  CHECK(bench.pass() == kNever);
  bench.load("{}");
  bench.pass(60'000);  // the limits of requests that were answered
  CHECK(bench.pass() == kNever);
}

TEST_CASE("desired properties are saved when they change, and written after a restart without the hub") {
  Bench bench;
  bench.load(R"({"rate":5,"$version":3})");
  REQUIRE(bench.saved.size() == 1);
  CHECK(bench.saved.back().version == 3);
  bench.keeper.on_desired(kSlot, R"({"mode":"eco","$version":4})");
  REQUIRE(bench.saved.size() == 2);
  CHECK(bench.saved.back().version == 4);
  // The links come up anew, and nothing changed meanwhile.
  bench.keeper.on_twin_link(kSlot, false);
  bench.load(R"({"rate":5,"mode":"eco","$version":4})");
  CHECK(bench.saved.size() == 2);

  Bench restarted;
  restarted.keeper.restore(kSlot, bench.saved.back());
  restarted.come(true);
  REQUIRE(restarted.delivered.size() == 1);
  CHECK(read_json(restarted.delivered[0].first.body).value() == *read_json(R"({"rate":5,"mode":"eco"})"));
  CHECK(restarted.delivered[0].first.version == 4);
  restarted.confirm();
  restarted.load(R"({"rate":6,"mode":"eco","$version":7})");
  REQUIRE(restarted.delivered.size() == 2);
  CHECK(restarted.delivered[1].first.body == R"({"rate":6})");
}

TEST_CASE("a copy of desired properties that cannot be read is no copy, and who has nowhere to write them keeps none") {
  Bench bench;
  bench.keeper.restore(kSlot, {device_id("a"), 4, "no JSON"});
  bench.come(true);
  CHECK(bench.delivered.empty());
  Bench full;
  full.room = 10;
  full.come(true);
  full.load(R"({"rate":5,"$version":3})");
  CHECK(full.saved.empty());
  CHECK(full.delivered.size() == 1);  // no less for this run
  Bench reader({}, false);
  reader.load(R"({"rate":5,"$version":3})");
  CHECK(reader.saved.empty());
}
