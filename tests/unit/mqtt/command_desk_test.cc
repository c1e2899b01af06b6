// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/command_desk.h"

#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::mqtt;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {

const SteadyTime t0{1000s};

// A desk, and what became of each command by its sequence.
struct Fixture {
  explicit Fixture(std::vector<CommandDone> done_when) : desk(std::move(done_when)) {}

  void deliver(std::size_t device, std::uint64_t sequence, SteadyTime deadline = kNever) {
    Command command{DeviceId::parse("device").value()};
    command.sequence = sequence;
    command.deadline = deadline;
    desk.deliver(device, std::move(command), Completion<Outcome>([this, sequence](Outcome outcome) {
                   outcomes.emplace_back(sequence, outcome.kind);
                 }));
  }
  // The sequences that are to be published now.
  std::vector<std::uint64_t> orders() {
    std::vector<std::uint64_t> out;
    for (auto& order : desk.take_orders()) {
      out.push_back(order.command.sequence);
      ticket = order.ticket;
      withdrawn = order.withdrawn;
    }
    return out;
  }

  using Ended = std::vector<std::pair<std::uint64_t, Kind>>;
  using Sequences = std::vector<std::uint64_t>;
  Ended outcomes;  // before the desk, which answers what it still holds when it ends
  CommandDesk desk;
  std::uint64_t ticket = 0;
  std::shared_ptr<std::atomic<bool>> withdrawn;
};

}  // namespace

TEST_CASE("one command of a device is outstanding, those of others are not held up", "[C-01]") {
  Fixture f({CommandDone::replied, CommandDone::replied});
  f.deliver(0, 1);
  f.deliver(0, 2);
  f.deliver(1, 3);
  CHECK(f.orders() == Fixture::Sequences{1, 3});
  CHECK(f.desk.reply(0, {std::nullopt, "ok"}) == ReplyVerdict::done);
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::accepted}});
  CHECK(f.orders() == Fixture::Sequences{2});
  CHECK_FALSE(f.desk.empty());
}

TEST_CASE("only the event that the map names means done", "[C-01]") {
  const auto done_when = GENERATE(CommandDone::written, CommandDone::acknowledged, CommandDone::replied);
  Fixture f({done_when});
  f.deliver(0, 1);
  f.orders();
  f.desk.handed(f.ticket);
  CHECK(f.outcomes.empty() == (done_when != CommandDone::written));
  f.desk.acknowledged(f.ticket);
  CHECK(f.outcomes.empty() == (done_when == CommandDone::replied));
  f.desk.reply(0, {std::nullopt, "1"});
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::accepted}});
  CHECK(f.desk.empty());
}

TEST_CASE("a command is released at its deadline, outstanding or waiting", "[C-01]") {
  Fixture f({CommandDone::replied});
  f.deliver(0, 1, t0 + 10s);
  f.deliver(0, 2, t0 + 5s);
  f.deliver(0, 3, t0 + 20s);
  f.orders();
  const auto first = f.withdrawn;
  CHECK(f.desk.tick(t0) == t0 + 5s);
  CHECK(f.desk.tick(t0 + 5s) == t0 + 10s);
  CHECK(f.outcomes == Fixture::Ended{{2, Kind::released}});
  CHECK_FALSE(first->load());
  CHECK(f.desk.tick(t0 + 10s) == t0 + 20s);
  CHECK(first->load());
  CHECK(f.orders() == Fixture::Sequences{3});
  CHECK(f.desk.tick(t0 + 20s) == kNever);
  CHECK(f.outcomes == Fixture::Ended{{2, Kind::released}, {1, Kind::released}, {3, Kind::released}});
  CHECK(f.desk.empty());
}

TEST_CASE("a late reply is no answer to the next command", "[C-01]") {
  Fixture f({CommandDone::replied});
  f.deliver(0, 1, t0);
  f.deliver(0, 2);
  f.desk.tick(t0);
  CHECK(f.desk.reply(0, {std::nullopt, "1"}) == ReplyVerdict::late);
  CHECK(f.desk.reply(0, {"1", "done"}) == ReplyVerdict::late);
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::released}});
  CHECK(f.desk.reply(0, {std::nullopt, "2"}) == ReplyVerdict::done);
}

TEST_CASE("a command that the hub delivers again is answered by its own id", "[C-01]") {
  Fixture f({CommandDone::replied});
  f.deliver(0, 1, t0);
  f.desk.tick(t0);
  f.deliver(0, 1);
  CHECK(f.desk.reply(0, {std::nullopt, "1"}) == ReplyVerdict::done);
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::released}, {1, Kind::accepted}});
}

TEST_CASE("a failure ends that command alone and stale tickets end nothing", "[C-01]") {
  Fixture f({CommandDone::acknowledged});
  f.deliver(0, 1);
  f.deliver(0, 2);
  f.orders();
  const auto stale = f.ticket;
  f.desk.failed(stale, Outcome::rejected("amqp:not-allowed", "no"));
  f.desk.acknowledged(stale);
  f.desk.failed(stale, Outcome::released());
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::rejected}});
  f.orders();
  f.desk.acknowledged(f.ticket);
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::rejected}, {2, Kind::accepted}});
}

TEST_CASE("a broker that goes releases everything and starts nothing", "[C-02]") {
  Fixture f({CommandDone::replied, CommandDone::replied});
  f.deliver(0, 1);
  f.deliver(0, 2);
  f.deliver(1, 3);
  f.orders();
  f.desk.release_device(0, "silent");
  CHECK(f.outcomes == Fixture::Ended{{1, Kind::released}, {2, Kind::released}});
  CHECK(f.orders().empty());
  f.desk.release_all("gone");
  CHECK(f.outcomes.size() == 3);
  CHECK(f.desk.empty());
  CHECK(f.desk.reply(1, {std::nullopt, "ok"}) == ReplyVerdict::nobody);
}

TEST_CASE("a device's line is bounded", "[C-01]") {
  Fixture f({CommandDone::replied});
  for (std::uint64_t i = 1; i <= 34; ++i) f.deliver(0, i);
  CHECK(f.outcomes == Fixture::Ended{{34, Kind::released}});
}
