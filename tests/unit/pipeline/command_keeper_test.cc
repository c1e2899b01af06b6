// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/command_keeper.h"

#include <random>

#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

class HandClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return now; }
  [[nodiscard]] WallTime wall() const override { return wall_now; }
  void pass(Milliseconds time) {
    now += time;
    wall_now += time;
  }
  SteadyTime now{std::chrono::hours(1)};
  WallTime wall_now{std::chrono::hours(24 * 20'780)};  // the rig's
};

const DeviceSlot kSlot{0};

// The keeper with a store over a real file. `crash` is kill -9: what was not committed is gone.
struct Plant {
  explicit Plant(CommandKeeper::Limits given = {}) : limits(given) { start(); }
  ~Plant() { forget(); }

  void start() {
    keeper = std::make_unique<CommandKeeper>(
        CommandKeeper::Ports{.deliver =
                                 [this](DeviceSlot, Command command, Completion<Outcome> done) {
                                   at_device.emplace_back(std::move(command), std::move(done));
                                 },
                             .note =
                                 [this](Note note, Completion<Recorded> done) {
                                   rig.items.emplace_back(RecordRequest{std::move(note), std::move(done)});
                                 },
                             .post = [this](std::function<void()> task) { tasks.push_back(std::move(task)); },
                             .reachable = [this](DeviceSlot) { return awake; },
                             .full = [this](DeviceSlot, bool now) { full = now; },
                             .reserve = [this](std::uint64_t bytes) { return rig.capacity->reserve_beside(bytes); },
                             .give_back = [this](std::uint64_t bytes) { rig.capacity->give_back_beside(bytes); }},
        clock, rig.metrics, 1);
    keeper->add(kSlot, device_id("a"), limits);
    const auto kept = rig.spool->kept_commands();
    REQUIRE(kept);
    for (const auto& one : *kept) {
      rig.capacity->occupy_beside(one.footprint());
      keeper->restore(kSlot, one);
    }
  }
  void forget() {
    at_device.clear();
    rig.items.clear();
    tasks.clear();
  }
  void crash() {
    forget();
    keeper.reset();
    rig.crash();
    full = false;
    start();
  }

  void run_tasks() {
    for (auto& task : std::exchange(tasks, {})) task();
  }
  void tick() { keeper->tick(clock.now, clock.wall_now); }
  void commit() {
    rig.process();
    run_tasks();
    tick();
  }
  void pass(Milliseconds time) {
    clock.pass(time);
    rig.pass(time);
    tick();
  }
  // What the hub gives us; `told` says what it was told.
  void take(std::uint64_t sequence, std::optional<Milliseconds> lives = {}, std::size_t size = 1) {
    Command command{device_id("a")};
    command.sequence = sequence;
    command.id = "id-" + std::to_string(sequence);
    command.correlation_id = "c";
    command.content_type = "text/plain";
    command.properties = {{"unit", "C"}};
    command.body = std::string(size, 'x');
    if (lives) command.expires = clock.wall_now + *lives;
    CommandRecord record{device_id("a"), sequence, WallTime{}, command.id, Outcome::accepted(), clock.wall_now};
    keeper->take(kSlot, std::move(command), std::move(record),
                 Completion<Outcome>([this, sequence](Outcome outcome) { told[sequence] = outcome.kind; }));
  }
  void come(bool is_awake) {
    awake = is_awake;
    keeper->presence(kSlot, awake ? Presence::reachable : Presence::away);
    tick();
  }
  void answer(Outcome outcome) {
    auto done = std::move(at_device.front().second);
    at_device.pop_front();
    done(std::move(outcome));
    run_tasks();
    tick();
  }
  CommandBook book() {
    const auto books = rig.store->books(clock.wall_now);
    REQUIRE(books);
    const auto found = books->commands.find("a");
    const auto out = found == books->commands.end() ? CommandBook{} : found->second;
    REQUIRE(out.unaccounted() == 0);
    return out;
  }

  CommandKeeper::Limits limits;
  HandClock clock;
  StoreRig rig{{.limits = {.max_bytes = 1 << 20, .beside_bytes = 64 * 1024}}};
  bool awake = false;
  bool full = false;
  std::map<std::uint64_t, Outcome::Kind> told;
  std::deque<std::pair<Command, Completion<Outcome>>> at_device;
  std::vector<std::function<void()>> tasks;
  std::unique_ptr<CommandKeeper> keeper;
};

}  // namespace

TEST_CASE("a command is told accepted only after the commit, and given to the device when it comes, in order",
          "[C-01]") {
  Plant plant;
  for (std::uint64_t i = 1; i <= 3; ++i) plant.take(i);
  REQUIRE(plant.told.empty());
  plant.commit();
  REQUIRE(plant.told == std::map<std::uint64_t, Outcome::Kind>{
                            {1, Outcome::Kind::accepted}, {2, Outcome::Kind::accepted}, {3, Outcome::Kind::accepted}});
  REQUIRE(plant.at_device.empty());
  plant.come(true);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    REQUIRE(plant.at_device.size() == 1);
    REQUIRE(plant.at_device.front().first.sequence == i);
    REQUIRE(plant.at_device.front().first.deadline == plant.clock.now + plant.limits.timeout);
    plant.answer(Outcome::accepted());
    REQUIRE(plant.at_device.empty());  // not before the end of this one is committed
    plant.commit();
  }
  REQUIRE(plant.book().delivered == 3);
  REQUIRE(plant.rig.spool->kept_commands()->empty());
  REQUIRE(plant.rig.capacity->bytes() == 0);
}

TEST_CASE("everything of a kept command survives a crash, with the record that suppresses its redelivery",
          "[C-01][D-02]") {
  Plant plant;
  plant.take(7, 1h);
  plant.commit();
  plant.take(8);  // not committed
  plant.crash();
  const auto records = plant.rig.spool->commands();
  REQUIRE(records);
  REQUIRE(records->size() == 1);
  REQUIRE(records->front().sequence == 7);
  REQUIRE(records->front().outcome.kind == Outcome::Kind::accepted);
  plant.come(true);
  REQUIRE(plant.at_device.size() == 1);
  const auto& command = plant.at_device.front().first;
  REQUIRE(command.sequence == 7);
  REQUIRE(command.id == "id-7");
  REQUIRE(command.correlation_id == "c");
  REQUIRE(command.content_type == "text/plain");
  REQUIRE(command.properties == std::vector<Property>{{"unit", "C"}});
  REQUIRE(command.body == "x");
  REQUIRE(command.expires == plant.clock.wall_now + 1h);
  plant.take(9);
  plant.commit();
  plant.answer(Outcome::accepted());
  plant.commit();
  REQUIRE(plant.at_device.front().first.sequence == 9);  // numbers of different runs do not collide
}

TEST_CASE("a command is tried again until the device did it, at once when it comes back or speaks", "[C-01]") {
  Plant plant;
  plant.take(1);
  plant.commit();
  plant.come(true);
  plant.answer(Outcome::released("nobody listens"));
  REQUIRE(plant.at_device.empty());
  REQUIRE(plant.keeper->status(kSlot).fault == "nobody listens");
  REQUIRE(plant.keeper->retries());
  plant.pass(2s);
  REQUIRE(plant.at_device.size() == 1);
  for (int i = 0; i < 8; ++i) {
    plant.answer(Outcome::released("still not"));
    plant.pass(60s);
    REQUIRE(plant.at_device.size() == 1);
  }
  plant.answer(Outcome::released("still not"));
  plant.keeper->heard(kSlot);
  plant.pass(1s);
  REQUIRE(plant.at_device.size() == 1);
  plant.answer(Outcome::away("gone"));
  plant.come(false);
  plant.pass(60s);
  REQUIRE(plant.at_device.empty());
  plant.come(true);
  REQUIRE(plant.at_device.size() == 1);
  plant.answer(Outcome::accepted());
  plant.commit();
  REQUIRE(plant.book().delivered == 1);
  REQUIRE_FALSE(plant.keeper->retries());
  REQUIRE(plant.keeper->status(kSlot).fault.empty());
}

TEST_CASE("nothing is given to the device after its expiry, wherever it stands in the queue", "[C-01]") {
  Plant plant({.keep = 1h});
  plant.take(1);
  plant.take(2, 10s);
  plant.take(3);
  plant.commit();
  plant.pass(10s);
  plant.commit();
  REQUIRE(plant.book().expired == 1);
  plant.come(true);
  plant.answer(Outcome::accepted());
  plant.commit();
  REQUIRE(plant.at_device.front().first.sequence == 3);
  SECTION("the attempt ends with the expiry") {
    plant.answer(Outcome::released("asleep"));
    plant.pass(1h - 12s);
    REQUIRE(plant.at_device.front().first.deadline < plant.clock.now + 5s);
  }
  SECTION("the map's limit holds for those without an expiry of their own") {
    plant.come(false);
    plant.answer(Outcome::away("asleep"));
    plant.pass(1h);
    plant.commit();
    plant.come(true);
    REQUIRE(plant.at_device.empty());
    REQUIRE(plant.book().expired == 2);
  }
}

TEST_CASE("a full queue releases and wants no further command until one has left", "[C-01][D-06]") {
  SECTION("by count") {
    Plant plant({.commands = 2});
    plant.take(1);
    REQUIRE_FALSE(plant.full);
    plant.take(2);
    REQUIRE(plant.full);
    plant.take(3);
    REQUIRE(plant.told.at(3) == Outcome::Kind::released);
    plant.commit();
    plant.crash();
    REQUIRE(plant.full);
    plant.come(true);
    plant.answer(Outcome::accepted());
    plant.commit();
    REQUIRE_FALSE(plant.full);
  }
  SECTION("another map is asked anew, and a session that knows nothing of it is told again") {
    Plant plant({.commands = 2});
    for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) plant.take(sequence);
    plant.commit();
    plant.full = false;
    plant.keeper->add(kSlot, device_id("a"), {.commands = 2});
    REQUIRE(plant.full);
    plant.keeper->add(kSlot, device_id("a"), {.commands = 3});
    REQUIRE_FALSE(plant.full);
    plant.take(4);
    plant.commit();
    REQUIRE(plant.told.at(4) == Outcome::Kind::accepted);
  }
  SECTION("by bytes of the device, but one always fits") {
    Plant plant({.bytes = 2'000});
    plant.take(1, {}, 3'000);
    plant.commit();
    REQUIRE(plant.told.at(1) == Outcome::Kind::accepted);
    REQUIRE(plant.full);
  }
  SECTION("by the gateway's room, which comes back") {
    Plant plant;
    std::uint64_t sequence = 0;
    do {
      plant.take(++sequence, {}, 10'000);
      plant.commit();
    } while (plant.told.at(sequence) == Outcome::Kind::accepted && sequence < 50);
    REQUIRE(plant.told.at(sequence) == Outcome::Kind::released);
    REQUIRE(sequence > 2);
    REQUIRE(plant.full);
    plant.come(true);
    plant.answer(Outcome::accepted());
    plant.commit();
    REQUIRE_FALSE(plant.full);
    plant.take(++sequence, {}, 10'000);
    plant.commit();
    REQUIRE(plant.told.at(sequence) == Outcome::Kind::accepted);
  }
}

TEST_CASE("what can never be done leaves, is counted, and the next one goes", "[C-01]") {
  Plant plant;
  plant.take(1);
  plant.take(2);
  plant.commit();
  plant.come(true);
  plant.answer(Outcome::rejected("amqp:not-allowed", "no such channel"));
  plant.commit();
  REQUIRE(plant.keeper->status(kSlot).fault == "a command failed: no such channel");
  REQUIRE(plant.at_device.front().first.sequence == 2);
  plant.answer(Outcome::accepted());
  plant.commit();
  const auto book = plant.book();
  REQUIRE(book.failed == 1);
  REQUIRE(book.delivered == 1);
}

TEST_CASE("random life with crashes: none lost, one repeat a crash at most, order kept, books balance",
          "[C-01][D-05]") {
  const auto seed = GENERATE(1U, 2U, 3U, 4U);
  CAPTURE(seed);
  std::mt19937 random(seed);
  Plant plant({.commands = 20});
  std::uint64_t sequence = 0;
  std::uint64_t crashes = 0;
  std::vector<std::uint64_t> did;
  for (int i = 0; i < 3'000; ++i) {
    switch (random() % 8) {
      case 0:
      case 1:
        if (!plant.full) plant.take(++sequence);
        break;
      case 2:
        plant.come(random() % 3 != 0);
        break;
      case 3:
      case 4:
        if (plant.at_device.empty()) break;
        if (random() % 4 == 0) {
          plant.answer(Outcome::released("no"));
        } else {
          did.push_back(plant.at_device.front().first.sequence);
          plant.answer(Outcome::accepted());
        }
        break;
      case 5:
        plant.pass(3s);
        break;
      case 6:
        if (random() % 10 != 0) break;
        plant.crash();
        ++crashes;
        break;
      default:
        plant.commit();
        plant.book();
    }
  }
  plant.commit();
  plant.come(true);
  for (int i = 0; i < 100; ++i) {
    plant.pass(61s);
    if (!plant.at_device.empty()) {
      did.push_back(plant.at_device.front().first.sequence);
      plant.answer(Outcome::accepted());
    }
    plant.commit();
  }
  REQUIRE(plant.book().waiting == 0);
  std::set<std::uint64_t> once(did.begin(), did.end());
  for (const auto& [number, kind] : plant.told) {
    if (kind == Outcome::Kind::accepted) REQUIRE(once.contains(number));
  }
  REQUIRE(std::is_sorted(did.begin(), did.end()));
  REQUIRE(did.size() - once.size() <= crashes);
  REQUIRE(once.size() > 100);
  REQUIRE(plant.rig.capacity->bytes() == 0);
}
