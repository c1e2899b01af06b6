// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/command_lane.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/make_command.h"

using namespace trunkline;
using namespace std::chrono_literals;
using coap::CommandLane;
using Kind = Outcome::Kind;

namespace {

const SteadyTime kStart{1'000s};

struct Sent {
  // Shared, because a lane that dies with the command answers it then.
  std::shared_ptr<std::optional<Outcome>> answer = std::make_shared<std::optional<Outcome>>();

  void add(CommandLane& lane, std::uint64_t sequence, SteadyTime deadline = kStart + 45s, bool reachable = true,
           std::string body = "x") {
    lane.add(test::make_command("tank-3", sequence, std::move(body), deadline),
             Completion<Outcome>([to = answer](Outcome value) { *to = std::move(value); }), reachable, kStart);
  }
  [[nodiscard]] bool is(Kind kind) const { return *answer && (*answer)->kind == kind; }
  [[nodiscard]] bool open() const { return !*answer; }
};

}  // namespace

TEST_CASE("one command is shown until its result came, then the next", "[C-01]") {
  CommandLane lane(CommandDone::replied, 1024);
  Sent first;
  Sent second;
  first.add(lane, 1);
  second.add(lane, 2);
  REQUIRE(lane.next());
  CHECK(lane.current()->sequence == 1);
  CHECK_FALSE(lane.next());
  lane.on_notified();
  CHECK(first.open());
  CHECK_FALSE(lane.on_result("2"));
  CHECK(lane.on_result("1"));
  CHECK(first.is(Kind::accepted));
  CHECK_FALSE(lane.current());
  CHECK(lane.on_result("1"));
  REQUIRE(lane.next());
  CHECK(lane.current()->sequence == 2);
  CHECK(second.open());
}

TEST_CASE("without a result mapped the notification is the event", "[C-01]") {
  CommandLane lane(CommandDone::written, 1024);
  Sent sent;
  sent.add(lane, 1);
  REQUIRE(lane.next());
  lane.on_notified();
  CHECK(sent.is(Kind::accepted));
  CHECK_FALSE(lane.current());
}

TEST_CASE("a shown command and those that wait are released in time", "[C-01]") {
  CommandLane lane(CommandDone::replied, 1024);
  Sent shown;
  Sent waiting;
  shown.add(lane, 1, kStart + 10s);
  waiting.add(lane, 2, kStart + 5s);
  CHECK(lane.next());
  CHECK(lane.deadline() == kStart + 5s);
  lane.tick(kStart + 5s);
  CHECK(waiting.is(Kind::released));
  CHECK(shown.open());
  lane.tick(kStart + 10s);
  CHECK(shown.is(Kind::released));
  CHECK(lane.deadline() == kNever);
  CHECK_FALSE(lane.on_result("1"));
}

TEST_CASE("commands that cannot go are answered at once", "[C-01]") {
  CommandLane lane(CommandDone::replied, 1024);
  Sent away;
  Sent large;
  Sent late;
  away.add(lane, 1, kStart + 10s, false);
  large.add(lane, 2, kStart + 10s, true, std::string(1025, 'x'));
  late.add(lane, 3, kStart);
  CHECK(away.is(Kind::released));
  CHECK(large.is(Kind::rejected));
  CHECK(late.is(Kind::released));
  std::vector<Sent> many(CommandLane::kWaiting + 1);
  for (std::size_t i = 0; i < many.size(); ++i) many[i].add(lane, 10 + i);
  CHECK(many.back().is(Kind::released));
  CHECK(many.front().open());
  lane.release_all("away");
  CHECK(many.front().is(Kind::released));
}
