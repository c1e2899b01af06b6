// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/command_lane.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/make_command.h"

using namespace trunkline;
using namespace std::chrono_literals;
using tcp::CommandLane;
using Kind = Outcome::Kind;

namespace {

const SteadyTime kStart{1'000s};

DeviceMap map(std::optional<std::string> reply, CommandDone done = CommandDone::replied) {
  DeviceMap out{.id = *DeviceId::parse("scale-2")};
  out.command_done = done;
  out.tcp = TcpMap{"127.0.0.1:0", {"\n", 1024}, {}, TcpCommand{"CMD {id} {payload}\n", std::move(reply)}};
  return out;
}

CommandLane connected(std::optional<std::string> reply, CommandDone done = CommandDone::replied) {
  auto lane = CommandLane::make(map(std::move(reply), done));
  REQUIRE(lane);
  lane->on_connected();
  return std::move(*lane);
}

struct Sent {
  // Shared, because a lane that dies with the command answers it then.
  std::shared_ptr<std::optional<Outcome>> answer = std::make_shared<std::optional<Outcome>>();

  void add(CommandLane& lane, std::uint64_t sequence, std::string body = "x", SteadyTime deadline = kStart + 45s) {
    lane.add(test::make_command("scale-2", sequence, std::move(body), deadline),
             Completion<Outcome>([to = answer](Outcome value) { *to = std::move(value); }), kStart);
  }
  [[nodiscard]] bool is(Kind kind) const { return *answer && (*answer)->kind == kind; }
  [[nodiscard]] bool open() const { return !*answer; }
};

}  // namespace

TEST_CASE("a command is accepted when its own reply came", "[C-01]") {
  auto lane = connected("OK {id} {payload}");
  Sent sent;
  sent.add(lane, 7, "open");
  CHECK(lane.next(kStart) == "CMD 7 open\n");
  lane.on_written(7);
  CHECK(sent.open());
  CHECK_FALSE(lane.on_line("temperature 7"));
  CHECK(lane.on_line("OK 6 done"));
  CHECK(sent.open());
  CHECK(lane.stray_replies() == 1);
  CHECK(lane.on_line("OK 7 done"));
  CHECK(sent.is(Kind::accepted));
}

TEST_CASE("one command is on the wire at a time", "[C-02]") {
  auto lane = connected("OK {id}");
  Sent first;
  Sent second;
  first.add(lane, 1);
  second.add(lane, 2);
  CHECK(lane.next(kStart));
  CHECK_FALSE(lane.next(kStart));
  CHECK(lane.on_line("OK 1"));
  CHECK(lane.next(kStart) == "CMD 2 x\n");
}

TEST_CASE("with command_done written the write is the event, and only that command's", "[C-01]") {
  auto lane = connected({}, CommandDone::written);
  Sent first;
  Sent second;
  first.add(lane, 1, "x", kStart + 1s);
  second.add(lane, 2);
  CHECK(lane.next(kStart));
  lane.tick(kStart + 1s);
  CHECK(first.is(Kind::released));
  CHECK(lane.next(kStart + 1s));
  lane.on_written(1);
  CHECK(second.open());
  lane.on_written(2);
  CHECK(second.is(Kind::accepted));
}

TEST_CASE("without a connection a command is released at once, and with the connection all that wait", "[C-01]") {
  auto lane = CommandLane::make(map("OK {id}"));
  REQUIRE(lane);
  Sent away;
  away.add(*lane, 1);
  CHECK(away.is(Kind::released));
  lane->on_connected();
  Sent first;
  Sent second;
  first.add(*lane, 2);
  second.add(*lane, 3);
  CHECK(lane->next(kStart));
  lane->on_disconnected("gone");
  CHECK(first.is(Kind::released));
  CHECK(second.is(Kind::released));
}

TEST_CASE("a command is released at its deadline and its late reply is swallowed", "[C-01]") {
  auto lane = connected("OK {id}");
  Sent first;
  Sent waiting;
  first.add(lane, 1, "x", kStart + 10s);
  waiting.add(lane, 2, "x", kStart + 5s);
  CHECK(lane.next(kStart));
  CHECK(lane.deadline() == kStart + 5s);
  lane.tick(kStart + 5s);
  CHECK(waiting.is(Kind::released));
  CHECK(first.open());
  CHECK(lane.deadline() == kStart + 10s);
  lane.tick(kStart + 10s);
  CHECK(first.is(Kind::released));
  CHECK(lane.on_line("OK 1"));
  CHECK(lane.stray_replies() == 1);
  CHECK(lane.deadline() == kNever);
}

TEST_CASE("a late reply without an id is not taken for the next command's", "[C-01]") {
  auto lane = connected("DONE");
  Sent first;
  Sent second;
  first.add(lane, 1, "x", kStart + 10s);
  CHECK(lane.next(kStart));
  lane.tick(kStart + 10s);
  CHECK(first.is(Kind::released));
  second.add(lane, 2);
  CHECK_FALSE(lane.next(kStart + 10s));
  CHECK(lane.deadline() == kStart + 10s + CommandLane::kLateReply);

  SECTION("it comes: the next command goes then") {
    CHECK(lane.on_line("DONE"));
    CHECK(second.open());
    CHECK(lane.next(kStart + 11s));
    CHECK(lane.on_line("DONE"));
    CHECK(second.is(Kind::accepted));
  }
  SECTION("it never comes: the next command goes after a while") {
    CHECK(lane.next(kStart + 10s + CommandLane::kLateReply));
    CHECK(lane.on_line("DONE"));
    CHECK(second.is(Kind::accepted));
  }
}

TEST_CASE("a body that holds the line end is rejected, because the device would read two commands", "[I-02]") {
  auto lane = connected("OK {id}");
  Sent sent;
  sent.add(lane, 1, "open\nCMD 9 erase");
  CHECK(sent.is(Kind::rejected));
  CHECK_FALSE(lane.next(kStart));
}

TEST_CASE("a reply that names another device is telemetry") {
  auto lane = connected("{device} OK {id}");
  Sent sent;
  sent.add(lane, 1);
  CHECK(lane.next(kStart));
  CHECK_FALSE(lane.on_line("scale-3 OK 1"));
  CHECK(lane.on_line("scale-2 OK 1"));
  CHECK(sent.is(Kind::accepted));
}

TEST_CASE("the number of commands that wait is bounded") {
  auto lane = connected("OK {id}");
  std::vector<Sent> sent(CommandLane::kWaiting + 1);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i].add(lane, i + 1);
  CHECK(sent.back().is(Kind::released));
  CHECK(sent.front().open());
  lane.on_disconnected("end");
}

TEST_CASE("a map that cannot say when a command is done is refused", "[C-01]") {
  CHECK_FALSE(CommandLane::make(map({})));
  CHECK_FALSE(CommandLane::make(map({}, CommandDone::acknowledged)));
  CHECK(CommandLane::make(map("OK", CommandDone::acknowledged)));
  CHECK(CommandLane::make(map({}, CommandDone::written)));
  CHECK_FALSE(CommandLane::make(map("OK {nonsense}")));
}
