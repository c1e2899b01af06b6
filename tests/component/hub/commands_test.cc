// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include "tests/component/hub/rig.h"

using namespace trunkline;
using namespace trunkline::tests;

namespace {

struct CommandRig : Rig {
  CommandRig() {
    connect();
    slot = add("d");
    online(slot, DeviceLink::commands);
  }
  // The next command, with credit for just this one.
  std::pair<Command, CommandTag> next() {
    const auto before = events(slot).commands.size();
    link->grant_commands(slot, 1);
    REQUIRE(until([&] { return events(slot).commands.size() == before + 1; }));
    return events(slot).commands.back();
  }
  // Where the simulator sees the command, once it has heard of the outcome.
  std::string outcome_of(std::uint64_t sequence) {
    std::string state;
    until([&] {
      run_for(std::chrono::milliseconds(1));
      state = server->wait_outcome("d", sequence, std::chrono::milliseconds(0));
      return state != "locked" && state != "queued";
    });
    return state;
  }
  DeviceSlot slot;
};

}  // namespace

TEST_CASE("a command arrives as the service sent it", "[C-01]") {
  CommandRig rig;
  rig.control(R"({"op":"enqueue","device":"d","body":"open","message_id":"m-1","correlation_id":"c-1",
                  "content_type":"text/plain","properties":{"valve":"3"},"ttl_ms":60000})");
  const auto before = rig.clock.steady();
  const auto [command, tag] = rig.next();
  CHECK(command.device.text() == "d");
  CHECK(command.body == "open");
  CHECK(command.id == "m-1");
  CHECK(command.correlation_id == "c-1");
  CHECK(command.content_type == "text/plain");
  CHECK(command.sequence > 0);
  CHECK(command.expires);
  CHECK(command.enqueued);
  CHECK(std::find(command.properties.begin(), command.properties.end(), Property{"valve", "3"}) !=
        command.properties.end());
  CHECK(command.deadline > before + std::chrono::seconds(40));
  CHECK(command.deadline < rig.clock.steady() + std::chrono::seconds(50));
}

TEST_CASE("an outcome reaches the hub", "[C-01]") {
  CommandRig rig;
  const auto sequence = rig.server->enqueue("d", "open");
  REQUIRE(sequence);
  const auto [command, tag] = rig.next();
  CHECK(command.sequence == *sequence);
  SECTION("accepted") {
    rig.link->settle(tag, Outcome::accepted());
    CHECK(rig.outcome_of(*sequence) == "completed");
  }
  SECTION("rejected") {
    rig.link->settle(tag, Outcome::rejected("amqp:not-implemented", "no such valve"));
    CHECK(rig.outcome_of(*sequence) == "rejected");
  }
  SECTION("released, and the command comes again") {
    rig.link->settle(tag, Outcome::released());
    const auto [again, second_tag] = rig.next();
    CHECK(again.sequence == *sequence);
    CHECK(again.delivery_count == command.delivery_count + 1);
    rig.link->settle(tag, Outcome::rejected("", ""));  // spent, so it means nothing
    rig.link->settle(second_tag, Outcome::accepted());
    CHECK(rig.outcome_of(*sequence) == "completed");
  }
  SECTION("modified, which the hub does not know, as released") {
    rig.link->settle(tag, Outcome{Outcome::Kind::modified, false, {}, {}, {}});
    CHECK(rig.next().first.sequence == *sequence);
  }
  SECTION("modified and undeliverable here as rejected") {
    rig.link->settle(tag, Outcome{Outcome::Kind::modified, true, {}, {}, {}});
    CHECK(rig.outcome_of(*sequence) == "rejected");
  }
}

TEST_CASE("commands come only for credit, and credit can be withdrawn", "[C-02]") {
  CommandRig rig;
  REQUIRE(rig.server->enqueue("d", "1"));
  rig.run_for(std::chrono::milliseconds(50));
  CHECK(rig.events(rig.slot).commands.empty());
  const auto [first, tag] = rig.next();
  rig.link->settle(tag, Outcome::accepted());

  rig.link->grant_commands(rig.slot, 1);
  rig.run_for(std::chrono::milliseconds(50));
  rig.link->grant_commands(rig.slot, 0);
  rig.run_for(std::chrono::milliseconds(50));
  REQUIRE(rig.server->enqueue("d", "2"));
  rig.run_for(std::chrono::milliseconds(50));
  CHECK(rig.events(rig.slot).commands.size() == 1);
  CHECK(rig.next().first.body == "2");
}

TEST_CASE("an outcome of an older connection is ignored") {
  CommandRig rig;
  const auto sequence = rig.server->enqueue("d", "open");
  const auto old_tag = rig.next().second;
  rig.control(R"({"op":"drop","how":"tcp"})");
  REQUIRE(rig.until([&] { return !rig.lost.empty(); }));
  rig.link->settle(old_tag, Outcome::accepted());
  rig.connect();
  rig.events(rig.slot).authorised = 0;
  rig.online(rig.slot, DeviceLink::commands);
  const auto [again, tag] = rig.next();
  CHECK(again.sequence == *sequence);
  CHECK(tag.epoch != old_tag.epoch);
  rig.link->settle(old_tag, Outcome::rejected("", ""));
  rig.link->settle(tag, Outcome::accepted());
  CHECK(rig.outcome_of(*sequence) == "completed");
}

TEST_CASE("an outcome of a link that ended is ignored") {
  CommandRig rig;
  REQUIRE(rig.server->enqueue("d", "open"));
  const auto tag = rig.next().second;
  rig.control(R"({"op":"detach","device":"d","link":"commands"})");
  REQUIRE(rig.until([&] { return rig.events(rig.slot).detached.size() == 1; }));
  CHECK(rig.events(rig.slot).detached[0].first == DeviceLink::commands);
  rig.link->settle(tag, Outcome::accepted());
  rig.run_for(std::chrono::milliseconds(20));
  CHECK(rig.lost.empty());
}
