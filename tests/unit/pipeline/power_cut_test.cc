// SPDX-License-Identifier: Apache-2.0
// A power cut is simulated under SQLite by a VFS (tests/support/cut_disk.h) that, at a random write, stops the disk and
// then makes every file what a medium may hold: what was synced, and any part of the writes since, torn and in any
// order. This proves the order of writes and syncs of spool and SQLite; it says nothing about a disk that lies about
// syncing. 25 cuts; TRUNKLINE_CUTS says otherwise, TRUNKLINE_SEED replays.
#include <sqlite3.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <set>

#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "tests/support/cut_disk.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::uint64_t spread(std::mt19937_64& random, std::uint64_t below) {
  return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random);
}

// Everything that the spool has after the cut, as positions: waiting and dead. The waiting ones can be settled again.
std::set<std::uint64_t> kept(StoreRig& rig, std::vector<MessagePtr>& waiting) {
  std::set<std::uint64_t> out;
  for (const auto& device : rig.spool->devices()) {
    const auto rows = rig.spool->read(device.device, {}, 100'000, 1 << 30);
    REQUIRE(rows);
    for (const auto& one : *rows) {
      out.insert(one->position.value);
      waiting.push_back(one);
    }
  }
  const auto letters = rig.spool->dead_letters({.limit = 100'000});
  REQUIRE(letters);
  for (const auto& letter : *letters) out.insert(letter.position.value);
  return out;
}

}  // namespace

TEST_CASE("with power, a cut at any moment loses nothing that was acknowledged, and the books balance",
          "[D-01][D-02][D-03][D-05]") {
  const auto seed = from_environment("TRUNKLINE_SEED", random_seed());
  const auto cuts = from_environment("TRUNKLINE_CUTS", 25);
  std::cout << "power cuts: " << cuts << ", TRUNKLINE_SEED=" << seed << std::endl;
  INFO("TRUNKLINE_SEED=" << seed);
  log::set_level(log::Level::error);
  std::mt19937_64 random(seed);
  CutDisk disk;
  StoreRig rig({.limits = {.max_bytes = 4 << 20}, .store = {.commit_delay = 20ms, .ledger_flush = 100ms}});
  std::uint64_t lost = 0;
  std::uint64_t vouched = 0;
  std::set<std::uint64_t> taken;  // by the hub: not ours to keep any more
  std::set<std::uint64_t> told;   // acknowledged, over all runs
  std::vector<MessagePtr> waiting;
  for (std::uint64_t cut = 0; cut < cuts; ++cut) {
    rig.safe.clear();
    disk.cut_after(spread(random, 600));
    const auto run = rig.spool->run();
    while (!disk.is_cut()) {
      for (std::uint64_t i = spread(random, 12); i > 0; --i) {
        const auto device = std::string(1, static_cast<char>('a' + spread(random, 4)));
        if (auto one = rig.offer(device, spread(random, 3) == 0, spread(random, 3000)))
          waiting.push_back(std::move(one));
      }
      for (std::uint64_t i = spread(random, 8); i > 0 && !waiting.empty(); --i) {
        const auto at = static_cast<std::ptrdiff_t>(spread(random, waiting.size()));
        const auto one = waiting[static_cast<std::size_t>(at)];
        waiting.erase(waiting.begin() + at);
        if (spread(random, 6) == 0) {
          rig.settle(one, Outcome::rejected("x:y", "no"));
        } else {
          taken.insert(one->position.value);
          rig.settle(one);
        }
      }
      rig.pass(Milliseconds(spread(random, 15)));
      if (!rig.process().failed) rig.balanced();
    }
    for (const auto sequence : rig.safe) told.insert(Position::make(run, sequence).value);
    rig.items.clear();
    rig.store.reset();
    rig.spool.reset();
    disk.restore(random());
    rig.open();
    REQUIRE(rig.store->status(rig.now.steady).set_aside.empty());
    REQUIRE(rig.spool->run() > run);
    waiting.clear();
    const auto found = kept(rig, waiting);
    for (const auto position : told) {
      if (!taken.contains(position) && !found.contains(position)) ++lost;
    }
    vouched += rig.safe.size();
    rig.balanced();
    told.clear();  // looked at; what waits is vouched for again below
    for (const auto& one : waiting) told.insert(one->position.value);
    const auto questions = rig.store->kept(rig.now, [](const DeadLetter&) {});
    REQUIRE(questions.purge(*rig.spool->dead_letters({.limit = 100'000})));
  }
  std::cout << "power cuts: " << vouched << " acknowledged, " << lost << " lost" << std::endl;
  REQUIRE(vouched > cuts);
  REQUIRE(lost == 0);
}

TEST_CASE("with power, a cut loses no command that was taken, brings none back that had ended, and the book balances",
          "[C-01][D-02][D-05]") {
  const auto seed = from_environment("TRUNKLINE_SEED", random_seed());
  const auto cuts = from_environment("TRUNKLINE_CUTS", 25);
  INFO("TRUNKLINE_SEED=" << seed);
  log::set_level(log::Level::error);
  std::mt19937_64 random(seed);
  CutDisk disk;
  StoreRig rig;
  const auto device = device_id("a");
  std::uint64_t number = 0;
  std::uint64_t vouched = 0;
  std::set<std::uint64_t> ours;   // taken, and nobody asked to end them
  std::set<std::uint64_t> ended;  // committed as ended
  for (std::uint64_t cut = 0; cut < cuts; ++cut) {
    disk.cut_after(spread(random, 300));
    while (!disk.is_cut()) {
      for (std::uint64_t i = spread(random, 6); i > 0; --i) {
        KeptCommand kept{++number, Command{device}};
        kept.command.expires = rig.now.wall;
        kept.command.body = std::string(spread(random, 3000), 'x');
        rig.items.emplace_back(
            RecordRequest{TakenCommand{kept, {device, number, WallTime{}, "", Outcome::accepted(), rig.now.wall}},
                          Completion<Recorded>([&ours, &vouched, taken = number](Recorded recorded) {
                            if (!recorded.durable) return;
                            ours.insert(taken);
                            ++vouched;
                          })});
      }
      for (std::uint64_t i = spread(random, 9); i > 0 && !ours.empty(); --i) {
        const auto one = *ours.begin();
        ours.erase(ours.begin());
        rig.items.emplace_back(RecordRequest{EndedCommand{device, one, EndedCommand::Fate::delivered},
                                             Completion<Recorded>([&ended, one](Recorded recorded) {
                                               if (recorded.durable) ended.insert(one);
                                             })});
      }
      rig.process();
    }
    rig.items.clear();
    rig.store.reset();
    rig.spool.reset();
    disk.restore(random());
    rig.open();
    const auto rows = rig.spool->kept_commands();
    REQUIRE(rows);
    const auto records = rig.spool->commands();
    REQUIRE(records);
    std::set<std::uint64_t> known;
    for (const auto& record : *records) known.insert(record.sequence);
    std::set<std::uint64_t> found;
    for (const auto& row : *rows) {
      found.insert(row.number);
      REQUIRE(known.contains(row.number));
      REQUIRE_FALSE(ended.contains(row.number));
    }
    for (const auto one : ours) REQUIRE(found.contains(one));
    // What was on its way into the file and is there belongs to us now; the hub was not told, and the record answers.
    ours = found;
    const auto books = rig.spool->books();
    REQUIRE(books);
    for (const auto& [name, book] : books->commands) REQUIRE(book.unaccounted() == 0);
  }
  REQUIRE(vouched > cuts);
  REQUIRE(!ended.empty());
}

TEST_CASE("the cut takes what was not synced, so that the test above can fail", "[D-02]") {
  log::set_level(log::Level::error);
  CutDisk disk;
  StoreRig rig;
  rig.set_policy("a", {.synced = false});  // durability = "process"
  for (std::uint64_t seed = 0; seed < 40 && rig.spool->depth().messages == rig.safe.size(); ++seed) {
    rig.offer("a");
    rig.process();
    rig.store.reset();
    disk.cut_after(0);
    rig.spool.reset();
    disk.restore(seed);
    rig.open();
  }
  REQUIRE(rig.spool->depth().messages < rig.safe.size());
}

TEST_CASE("a commit with one power message is synced, one with none is not", "[D-02]") {
  CutDisk disk;
  StoreRig rig;
  rig.set_policy("process", {.synced = false});
  const auto syncs_of = [&](const std::vector<std::string>& devices) {
    const auto before = disk.syncs();
    for (const auto& device : devices) rig.offer(device);
    rig.process();
    return disk.syncs() - before;
  };
  syncs_of({"process", "power"});
  REQUIRE(syncs_of({"process"}) == 0);
  REQUIRE(syncs_of({"process", "power", "process"}) > 0);
  REQUIRE(syncs_of({"process"}) == 0);
}

TEST_CASE("a disk that fails in any way stops acknowledgements, says why, and work resumes alone", "[D-01][D-02]") {
  log::set_level(log::Level::error);
  CutDisk disk;
  StoreRig rig;
  rig.offer("a");
  rig.process();
  rig.safe.clear();
  bool syncing = false;
  int code = 0;
  SECTION("full") {
    code = SQLITE_FULL;
  }
  SECTION("an I/O error") {
    code = SQLITE_IOERR_WRITE;
  }
  SECTION("mounted read-only again") {
    code = SQLITE_READONLY;
  }
  SECTION("it takes writes and does not sync") {
    code = SQLITE_IOERR_FSYNC;
    syncing = true;
  }
  syncing ? disk.fail_syncs(code) : disk.fail_writes(code);
  rig.offer("a");
  rig.offer("b");
  for (int i = 0; i < 3; ++i) REQUIRE(rig.process().failed);
  REQUIRE(rig.safe.empty());
  REQUIRE_FALSE(rig.store->status(rig.now.steady).fault.empty());
  REQUIRE(rig.store->status(rig.now.steady).pending == 2);
  syncing ? disk.fail_syncs(0) : disk.fail_writes(0);
  REQUIRE_FALSE(rig.process().failed);
  REQUIRE(rig.safe.size() == 2);
  REQUIRE(rig.store->status(rig.now.steady).fault.empty());
  rig.crash();
  REQUIRE(rig.spool->depth().messages == 3);
  rig.balanced();
}
