// SPDX-License-Identifier: Apache-2.0
// Methods, desired properties and reports on a device's line.
#include <memory>
#include <optional>
#include <string>

#include "adapters/tcp/command_lane.h"
#include "tests/support/catch.h"
#include "tests/support/make_command.h"

using namespace trunkline;
using namespace std::chrono_literals;
using tcp::CommandLane;
using Kind = Outcome::Kind;

namespace {

const SteadyTime kStart{1'000s};

CommandLane lane(const std::string& reply = "ANSWER {id} {status} {payload}",
                 std::optional<std::string> set_ok = "SET-OK {id}") {
  DeviceMap map{.id = *DeviceId::parse("scale-2")};
  map.tcp = TcpMap{"127.0.0.1:0", {"\n", 1024}, {}, TcpCommand{"CMD {id} {payload}\n", "DONE {id}"}};
  map.tcp->method = TcpCommand{"CALL {id} {name} {payload}\n", reply};
  map.tcp->desired = TcpCommand{"SET {version} {id} {payload}\n", std::move(set_ok)};
  map.tcp->reported = "STATE {payload}";
  auto made = CommandLane::make(map);
  REQUIRE(made);
  made->on_connected(kStart);
  return std::move(*made);
}

struct Sent {
  std::shared_ptr<std::optional<Outcome>> answer = std::make_shared<std::optional<Outcome>>();

  void add(CommandLane& to, CommandKind kind, std::uint64_t sequence, std::string body = "{}",
           SteadyTime deadline = kStart + 10s) {
    auto command = test::make_command("scale-2", sequence, std::move(body), deadline);
    command.kind = kind;
    command.name = "open";
    command.version = 3;
    to.add(std::move(command), Completion<Outcome>([copy = answer](Outcome value) { *copy = std::move(value); }),
           kStart, {});
  }
  [[nodiscard]] bool open() const { return !*answer; }
  [[nodiscard]] const Outcome& outcome() const { return **answer; }
};

}  // namespace

TEST_CASE("a method's status and payload are taken out of its reply") {
  auto line = lane();
  Sent sent;
  sent.add(line, CommandKind::method, 7, R"({"a":1})");
  CHECK(line.next(kStart) == "CALL 7 open {\"a\":1}\n");
  line.on_written(7);
  CHECK(sent.open());
  CHECK(line.on_line(R"(ANSWER 7 409 {"why":"moving"})", kStart));
  REQUIRE(!sent.open());
  REQUIRE(sent.outcome().response);
  CHECK(sent.outcome().response->status == 409);
  CHECK(sent.outcome().response->payload == R"({"why":"moving"})");
}

TEST_CASE("a status that is no number is the gateway's own answer") {
  auto line = lane();
  Sent sent;
  sent.add(line, CommandKind::method, 7);
  line.next(kStart);
  CHECK(line.on_line("ANSWER 7 good 1", kStart));
  REQUIRE(!sent.open());
  CHECK(sent.outcome().response->status == MethodResponse::kUnusable);
}

TEST_CASE("commands, methods and desired properties share the line, one at a time") {
  auto line = lane();
  Sent command, method, desired;
  command.add(line, CommandKind::message, 1);
  method.add(line, CommandKind::method, 2);
  desired.add(line, CommandKind::desired, 3, R"({"rate":5})");
  CHECK(line.next(kStart) == "CMD 1 {}\n");
  CHECK_FALSE(line.next(kStart));
  CHECK(line.on_line("ANSWER 2 200 1", kStart));  // nobody's yet
  CHECK(method.open());
  CHECK(line.on_line("DONE 1", kStart));
  CHECK(line.next(kStart) == "CALL 2 open {}\n");
  CHECK(line.on_line("ANSWER 2 200 1", kStart));
  CHECK(line.next(kStart) == "SET 3 3 {\"rate\":5}\n");
  CHECK(line.on_line("SET-OK 3", kStart));
  CHECK(command.outcome().kind == Kind::accepted);
  CHECK(method.outcome().kind == Kind::accepted);
  CHECK(desired.outcome().kind == Kind::accepted);
  CHECK(line.stray_replies() == 1);
}

TEST_CASE("the late answer of a method without an id answers nobody") {
  auto line = lane("ANSWER {payload}");
  Sent first, second;
  first.add(line, CommandKind::method, 1, "1", kStart + 2s);
  second.add(line, CommandKind::method, 2, "2", kStart + 60s);
  line.next(kStart);
  line.tick(kStart + 2s);
  CHECK(first.outcome().kind == Kind::released);
  CHECK_FALSE(line.next(kStart + 2s));
  CHECK(line.on_line("ANSWER 10", kStart + 3s));
  CHECK(second.open());
  CHECK(line.next(kStart + 3s) == "CALL 2 open 2\n");
  CHECK(line.on_line("ANSWER 20", kStart + 4s));
  REQUIRE(!second.open());
  CHECK(second.outcome().response->payload == "20");
}

TEST_CASE("desired properties without a reply are confirmed when they were written") {
  auto line = lane("ANSWER {id} {payload}", std::nullopt);
  Sent sent;
  sent.add(line, CommandKind::desired, 9);
  line.next(kStart);
  CHECK(sent.open());
  line.on_written(9);
  REQUIRE(!sent.open());
  CHECK(sent.outcome().kind == Kind::accepted);
}

TEST_CASE("a device that is gone is told as away, and a full line as busy") {
  auto line = lane();
  std::vector<Sent> sent(CommandLane::kWaiting + 1);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i].add(line, CommandKind::method, i + 1);
  CHECK(sent.back().outcome().condition == Outcome::kBusy);
  line.on_disconnected("it hung up");
  CHECK(sent.front().outcome().condition == Outcome::kAway);
  Sent late;
  late.add(line, CommandKind::method, 100);
  CHECK(late.outcome().condition == Outcome::kAway);
}

TEST_CASE("lines that report a state are told from telemetry") {
  auto line = lane();
  CHECK(line.report(R"(STATE {"rate":5})") == R"({"rate":5})");
  CHECK_FALSE(line.report("21.5 kg"));
}
