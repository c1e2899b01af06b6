// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

const std::uint64_t kOne = message("a", 1)->footprint();

std::vector<std::uint64_t> waiting(StoreRig& rig, const std::string& device) {
  std::vector<std::uint64_t> out;
  const auto rows = rig.spool->read(device_id(device), {}, 100, 1 << 20);
  REQUIRE(rows);
  for (const auto& one : *rows) out.push_back(one->position.sequence());
  return out;
}

}  // namespace

TEST_CASE("one device holds at most its share, and the others go on", "[D-06][I-01]") {
  StoreRig rig({.limits = {.max_bytes = 10 * kOne, .device_bytes = 3 * kOne}});
  for (int i = 0; i < 3; ++i) REQUIRE(rig.offer("a"));
  REQUIRE_FALSE(rig.offer("a"));
  REQUIRE(rig.offer("b"));
  rig.process();
  REQUIRE(waiting(rig, "a").size() == 3);
  SECTION("a message larger than its share still fits a device that holds nothing") {
    REQUIRE(rig.offer("c", true, 4 * kOne));
  }
}

TEST_CASE("drop_newest drops at the door and is counted", "[D-04][D-06]") {
  StoreRig rig;
  rig.set_policy("a", {.max_messages = 2, .on_full = OnFull::drop_newest});
  for (int i = 0; i < 5; ++i) rig.offer("a");
  rig.process();
  REQUIRE(waiting(rig, "a") == std::vector<std::uint64_t>{1, 2});
  REQUIRE(rig.balanced().total.tally.dropped_newest == 3);
  REQUIRE(rig.count("dropped_total", "reason=\"drop_newest\"") == 3);
}

TEST_CASE("a share that is the whole spool is no limit of the device: it is held back, nothing is dropped", "[D-06]") {
  StoreRig rig({.limits = {.max_bytes = 10 * kOne, .device_bytes = 10 * kOne}});
  rig.set_policy("a", {.on_full = OnFull::drop_newest});
  for (int i = 0; i < 10; ++i) REQUIRE(rig.offer("a"));
  for (int i = 0; i < 5; ++i) REQUIRE_FALSE(rig.offer("a"));
  rig.process();
  REQUIRE(rig.balanced().total.tally.dropped_newest == 0);
}

TEST_CASE("drop_oldest makes room in the commit that brings the new one, and is counted", "[D-04][D-06]") {
  StoreRig rig;
  rig.set_policy("a", {.max_messages = 2, .on_full = OnFull::drop_oldest});
  rig.offer("b");
  for (int i = 0; i < 5; ++i) {
    rig.offer("a");
    rig.process();
  }
  REQUIRE(waiting(rig, "a") == std::vector<std::uint64_t>{5, 6});
  REQUIRE(rig.safe.size() == 6);
  REQUIRE(rig.balanced().total.tally.dropped_oldest == 3);
  REQUIRE(rig.count("dropped_total", "reason=\"drop_oldest\"") == 3);
  REQUIRE(rig.capacity->bytes() == 3 * kOne);
}

TEST_CASE("a dropped message that the hub had all the same is booked as accepted", "[D-04][D-05]") {
  StoreRig rig;
  rig.set_policy("a", {.max_messages = 1, .on_full = OnFull::drop_oldest});
  const auto first = rig.offer("a");
  rig.process();
  rig.offer("a");
  rig.process();
  REQUIRE(rig.balanced().total.tally.dropped_oldest == 1);
  rig.settle(first);
  rig.settle(first);
  rig.process();
  REQUIRE(rig.balanced().total.tally.dropped_oldest == 0);
  REQUIRE(rig.balanced().total.tally.accepted == 1);
  SECTION("one that the hub rejected stays dropped") {
    const auto second = rig.offer("a");
    rig.process();
    rig.offer("a");
    rig.process();
    rig.settle(second, Outcome::rejected("x:y", "no"));
    rig.process();
    REQUIRE(rig.balanced().total.held.dead_lettered == 0);
  }
}

TEST_CASE("a device without backlog passes a full spool: safe once the hub accepts, and not before", "[D-06][D-01]") {
  StoreRig rig({.limits = {.max_bytes = 2 * kOne}});
  const auto old1 = rig.offer("full");
  rig.offer("full");
  rig.process();
  rig.safe.clear();
  REQUIRE_FALSE(rig.offer("healthy"));  // nothing of it goes to the hub: back pressure
  for (const auto* device : {"full", "healthy"}) rig.capacity->set_flowing(device_id(device), true);
  REQUIRE_FALSE(rig.offer("full"));   // it has a backlog
  REQUIRE_FALSE(rig.offer("stuck"));  // the hub takes those of others, and none of this one
  const auto one = rig.offer("healthy");
  const auto two = rig.offer("healthy");
  REQUIRE(one);
  REQUIRE(two);
  rig.process();
  REQUIRE(rig.safe.empty());
  REQUIRE(rig.spool->depth().messages == 2);

  SECTION("the hub accepts") {
    rig.settle(two);
    rig.process();
    REQUIRE(rig.safe.empty());  // not before the older one
    rig.settle(one);
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{3, 4});
    REQUIRE(rig.count("spool_never_written_total") == 2);
    REQUIRE(rig.capacity->passing_bytes() == 0);
  }
  SECTION("room comes") {
    rig.settle(old1);
    rig.process();  // makes room for one
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{3});
    REQUIRE(waiting(rig, "healthy") == std::vector<std::uint64_t>{3});
  }
  SECTION("the hub rejects it") {
    rig.settle(one, Outcome::rejected("x:y", "no"));
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{3});
    REQUIRE(rig.spool->depth().dead_letters == 1);
  }
  SECTION("it is read back by who asks for it") {
    rig.items.emplace_back(ReadRequest{DeviceSlot{0}, device_id("healthy"), {}, 10, 100'000});
    REQUIRE(rig.process().reads.front().messages.size() == 2);
  }
  SECTION("not without bound") {
    std::size_t more = 0;
    while (rig.offer("healthy")) ++more;
    REQUIRE(more == 14);
  }
  SECTION("nor with large ones: one device leaves room for the others") {
    std::size_t large = 0;
    while (rig.offer("healthy", true, 100'000)) ++large;
    REQUIRE(large == 5);
    rig.capacity->set_flowing(device_id("other"), true);
    REQUIRE(rig.offer("other", true, 200'000));
  }
  rig.balanced();
}

TEST_CASE("messages older than max_age go, counted as expired; each device has its own limit", "[D-02][D-04]") {
  StoreRig rig;
  rig.set_policy("a", {.max_age = 10s});
  rig.set_policy("b", {.max_age = 1h});
  rig.offer("a");
  rig.offer("b");
  rig.offer("c");  // no limit
  rig.process();
  rig.pass(9s);
  rig.offer("a");
  rig.process();
  REQUIRE(waiting(rig, "a").size() == 2);
  rig.pass(1500ms);
  rig.process();
  REQUIRE(waiting(rig, "a") == std::vector<std::uint64_t>{4});
  REQUIRE(rig.balanced().total.tally.expired == 1);
  REQUIRE(rig.count("dropped_total", "reason=\"expired\"") == 1);
  rig.pass(2h);
  rig.process();
  REQUIRE(rig.spool->depth().messages == 1);
  REQUIRE(rig.balanced().total.tally.expired == 3);
  REQUIRE(rig.capacity->bytes() == kOne);
}

TEST_CASE("no message expires early or for a clock that jumped", "[D-02]") {
  StoreRig rig;
  rig.set_policy("a", {.max_age = 1h});
  rig.offer("a");
  rig.process();
  SECTION("while the gateway runs") {
    for (const auto jump : {std::chrono::hours(-365 * 24), std::chrono::hours(366 * 24), std::chrono::hours(1)}) {
      rig.now.wall += jump;
      rig.pass(1s);
      rig.process();
    }
    rig.now.wall = WallTime(0ms);
    rig.process();
    REQUIRE(rig.spool->depth().messages == 1);
  }
  SECTION("time without power counts if the clock was right at both ends") {
    rig.crash(2h);
    rig.process();
    REQUIRE(rig.spool->depth().messages == 0);
  }
  SECTION("time without power does not count if it was not") {
    rig.now.trusted = false;
    rig.crash(2h);
    rig.process();
    REQUIRE(rig.spool->depth().messages == 1);
    rig.pass(61min);
    rig.process();
    REQUIRE(rig.spool->depth().messages == 0);
  }
  SECTION("nor if it went backwards") {
    rig.crash(-2h);
    rig.process();
    REQUIRE(rig.spool->depth().messages == 1);
  }
}

TEST_CASE("commit_delay puts off who does not wait, never who does, and never an order", "[D-01][D-03]") {
  StoreRig rig({.store = {.commit_delay = 100ms}});
  const auto one = rig.offer("a", false);
  rig.offer("a", false);
  rig.offer("b", false);
  REQUIRE(rig.process().again == rig.now.steady + 100ms);
  REQUIRE(rig.spool->depth().messages == 0);
  SECTION("the hub is quicker") {
    rig.settle(one);
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{1});
    REQUIRE(rig.count("spool_written_total") == 0);
  }
  SECTION("a sender that waits takes the older ones of its device along") {
    rig.offer("a", true);
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{1, 2, 4});
    REQUIRE(waiting(rig, "a") == std::vector<std::uint64_t>{1, 2, 4});
    REQUIRE(waiting(rig, "b").empty());
  }
  SECTION("the time is up") {
    rig.pass(100ms);
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{1, 2, 3});
  }
  SECTION("what waits for the disk is read from memory") {
    rig.items.emplace_back(ReadRequest{DeviceSlot{0}, device_id("a"), {}, 10, 100'000});
    REQUIRE(rig.process().reads.front().messages.size() == 2);
  }
  SECTION("a rejection is written with its message") {
    rig.settle(one, Outcome::rejected("x:y", "no"));
    rig.process();
    REQUIRE(rig.safe == std::vector<std::uint64_t>{1});
    REQUIRE(rig.spool->depth().dead_letters == 1);
  }
  rig.balanced();
}

TEST_CASE("a repeat is answered as duplicate, when the first is safe and not before", "[D-03][D-05]") {
  StoreRig rig({.store = {.commit_delay = 100ms}});
  const auto one = rig.offer("a", false);
  rig.items.emplace_back(Repeat{device_id("a"), one->position, rig.told(one->position)});
  rig.process();
  REQUIRE(rig.repeated.empty());
  rig.pass(100ms);
  rig.process();
  REQUIRE(rig.repeated == std::vector<std::uint64_t>{1});
  rig.items.emplace_back(Repeat{device_id("a"), one->position, rig.told(one->position)});
  rig.process();
  REQUIRE(rig.repeated.size() == 2);
  const auto total = rig.balanced().total;
  REQUIRE(total.tally.duplicates == 2);
  REQUIRE(total.tally.received == 1);
}

TEST_CASE("a batch of any size is written in commits that the journal has room for", "[D-06]") {
  StoreRig rig({.limits = {.max_bytes = 2 << 20}, .store = {.max_bytes = 2 << 20}});
  std::vector<MessagePtr> all;
  for (int i = 0; i < 200; ++i) all.push_back(rig.offer("a", true, 2000));
  rig.process();
  REQUIRE(rig.safe.size() == 200);
  const auto room = Spool::batch_bytes(2 << 20);
  REQUIRE(rig.count("spool_commits_total") >= 200 * 2000 / room);
  for (const auto& one : all) rig.settle(one);
  rig.process();
  REQUIRE(rig.spool->depth().messages == 0);
  REQUIRE(rig.capacity->bytes() == 0);
}

TEST_CASE("a requeued dead letter is a new message in the place of the old one", "[D-04][D-05]") {
  StoreRig rig;
  const auto one = rig.offer("a");
  rig.process();
  rig.settle(one, Outcome::rejected("x:y", "no"));
  rig.process();
  const auto again = message("a", 99, "x", rig.spool->run());
  rig.capacity->occupy(device_id("a"), again->footprint());
  const auto requeue = [&](const MessagePtr& as) {
    Arrival arrival{as};
    arrival.replaces = one->position;
    rig.items.emplace_back(std::move(arrival));
  };
  requeue(again);
  SECTION("it waits") {
    rig.process();
    REQUIRE(waiting(rig, "a") == std::vector<std::uint64_t>{99});
    REQUIRE(rig.capacity->bytes() == kOne);
  }
  SECTION("the hub takes it before it was written") {
    rig.settle(again);
    rig.process();
    REQUIRE(rig.spool->depth().messages == 0);
    REQUIRE(rig.capacity->bytes() == 0);
    REQUIRE(rig.balanced().total.tally.accepted == 1);
  }
  REQUIRE(rig.spool->depth().dead_letters == 0);
  REQUIRE(rig.balanced().total.tally.received == 1);
  REQUIRE(rig.balanced().total.tally.requeued == 1);
}
