// SPDX-License-Identifier: Apache-2.0
// Methods and desired properties on a device's line: what answers them, and what does not.
#include "adapters/mqtt/command_desk.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::mqtt;
using namespace std::chrono_literals;

namespace {

const SteadyTime t0{1000s};

struct Fixture {
  explicit Fixture(bool by_report = true) : desk({CommandDone::replied}, {by_report}) { desk.tick(t0); }

  void deliver(CommandKind kind, std::uint64_t sequence, SteadyTime deadline, std::string body = "{}") {
    Command command{DeviceId::parse("device").value()};
    command.sequence = sequence;
    command.kind = kind;
    command.body = std::move(body);
    command.deadline = deadline;
    desk.deliver(0, std::move(command),
                 Completion<Outcome>([this](Outcome outcome) { outcomes.push_back(std::move(outcome)); }));
  }
  std::vector<std::uint64_t> orders() {
    std::vector<std::uint64_t> out;
    for (auto& order : desk.take_orders()) {
      out.push_back(order.command.sequence);
      ticket = order.ticket;
    }
    return out;
  }
  ReplyVerdict say(std::string payload, std::optional<std::string> correlation = {}) {
    return desk.reply(0, {std::move(correlation), std::move(payload), CommandKind::method});
  }
  using Sequences = std::vector<std::uint64_t>;
  std::vector<Outcome> outcomes;  // before the desk, which answers what it still holds when it ends
  CommandDesk desk;
  std::uint64_t ticket = 0;
};

}  // namespace

TEST_CASE("a method's outcome carries what the device answered") {
  Fixture f;
  f.deliver(CommandKind::method, 7, t0 + 10s);
  CHECK(f.orders() == Fixture::Sequences{7});
  f.desk.handed(f.ticket);
  f.desk.acknowledged(f.ticket);
  CHECK(f.outcomes.empty());
  CHECK(f.say(R"({"id":"7","status":409,"payload":"busy"})") == ReplyVerdict::done);
  REQUIRE(f.outcomes.size() == 1);
  REQUIRE(f.outcomes[0].response);
  CHECK(f.outcomes[0].response->status == 409);
  CHECK(f.outcomes[0].response->payload == R"("busy")");
}

TEST_CASE("a command's reply is no method's answer, and the other way round") {
  Fixture f;
  f.deliver(CommandKind::method, 7, t0 + 10s);
  CHECK(f.desk.reply(0, {{}, "done", CommandKind::message}) == ReplyVerdict::nobody);
  CHECK(f.outcomes.empty());
  CHECK(f.say("done") == ReplyVerdict::done);
  f.deliver(CommandKind::message, 8, t0 + 10s);
  CHECK(f.say("done") == ReplyVerdict::nobody);
  CHECK(f.outcomes.size() == 1);
}

TEST_CASE("the late answer of a device that names no call answers nobody, and nothing is sent before it") {
  Fixture f;
  f.deliver(CommandKind::method, 1, t0 + 2s);
  CHECK(f.orders() == Fixture::Sequences{1});
  f.desk.tick(t0 + 2s);
  REQUIRE(f.outcomes.size() == 1);
  f.deliver(CommandKind::method, 2, t0 + 60s);
  CHECK(f.orders().empty());
  CHECK(f.say("the first one's") == ReplyVerdict::late);
  CHECK(f.orders() == Fixture::Sequences{2});
  CHECK(f.say("mine") == ReplyVerdict::done);
  REQUIRE(f.outcomes.size() == 2);
  CHECK(f.outcomes[1].response->payload == R"("mine")");
}

TEST_CASE("a late answer that never comes holds the line up no longer than its time") {
  Fixture f;
  f.deliver(CommandKind::method, 1, t0 + 2s);
  f.orders();
  f.desk.tick(t0 + 2s);
  f.deliver(CommandKind::method, 2, t0 + 60s);
  CHECK(f.desk.tick(t0 + 3s) == t0 + 2s + CommandDesk::kLateReply);
  CHECK(f.orders().empty());
  f.desk.tick(t0 + 2s + CommandDesk::kLateReply);
  CHECK(f.orders() == Fixture::Sequences{2});
}

TEST_CASE("a device that names its calls is not held up by one that ran out") {
  Fixture f;
  f.deliver(CommandKind::method, 1, t0 + 2s);
  f.orders();
  CHECK(f.say("1", "1") == ReplyVerdict::done);
  f.deliver(CommandKind::method, 2, t0 + 2s);
  f.orders();
  f.desk.tick(t0 + 2s);
  f.deliver(CommandKind::method, 3, t0 + 60s);
  CHECK(f.orders() == Fixture::Sequences{3});
  CHECK(f.say("late", "2") == ReplyVerdict::late);
  CHECK(f.say("mine", "3") == ReplyVerdict::done);
}

TEST_CASE("desired properties are confirmed by reports that say all of them") {
  Fixture f;
  f.deliver(CommandKind::desired, 5, t0 + 45s, R"({"rate":5,"mode":null})");
  CHECK(f.orders() == Fixture::Sequences{5});
  f.desk.acknowledged(f.ticket);
  f.desk.reported(0, R"({"rate":4,"mode":"eco"})");
  CHECK(f.outcomes.empty());
  f.desk.reported(0, R"({"rate":5})");
  REQUIRE(f.outcomes.size() == 1);
  CHECK(f.outcomes[0].kind == Outcome::Kind::accepted);
}

TEST_CASE("without a report the broker's acknowledgement confirms desired properties") {
  Fixture f(false);
  f.deliver(CommandKind::desired, 5, t0 + 45s, R"({"rate":5})");
  f.orders();
  f.desk.acknowledged(f.ticket);
  REQUIRE(f.outcomes.size() == 1);
  CHECK(f.outcomes[0].kind == Outcome::Kind::accepted);
}
