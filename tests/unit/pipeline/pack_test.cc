// SPDX-License-Identifier: Apache-2.0
// Messages that a commit brings together, in packs: on the disk, in memory, and what a crash leaves of them.
#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include "gateway/pipeline/pack_codec.h"
#include "gateway/pipeline/spool_reader.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

std::vector<std::uint64_t> waiting(StoreRig& rig, const std::string& device) {
  std::vector<std::uint64_t> out;
  const auto rows = rig.spool->read(device_id(device), {}, 10'000, 1 << 30);
  REQUIRE(rows);
  for (const auto& one : *rows) out.push_back(one->position.sequence());
  return out;
}

// Looks into the file of a spool that is closed.
std::int64_t count(StoreRig& rig, const std::string& table) {
  SQLite::Database db(rig.folder.path("spool/spool.db"), SQLite::OPEN_READWRITE);
  return db.execAndGet("SELECT count(*) FROM " + table).getInt64();
}
void close(StoreRig& rig) {
  rig.items.clear();
  rig.store.reset();
  rig.spool.reset();
}

}  // namespace

TEST_CASE("a pack reads back as it was written, and nothing else is taken for one", "[D-02]") {
  std::string blob;
  begin_pack(blob);
  const auto first = message("a", 5, "body");
  const auto second = message("b", 6, std::string(70'000, '\0'));
  append_to_pack(blob, *first, 3);
  const auto one = blob.size();
  append_to_pack(blob, *second, 1LL << 40);
  const auto found = read_pack(blob);
  REQUIRE(found.size() == 2);
  REQUIRE(found[0].position == first->position.value);
  REQUIRE(found[0].device == 3);
  REQUIRE(found[0].body == "body");
  REQUIRE(found[0].footprint == first->footprint());
  REQUIRE(found[1].device == 1LL << 40);
  REQUIRE(found[1].body.size() == 70'000);
  for (std::size_t size = 0; size < 200; ++size) {
    if (size == 1 || size == one) continue;  // a pack of nothing, and of one
    REQUIRE_THROWS_AS(read_pack(std::string_view(blob).substr(0, size)), SQLite::Exception);
  }
  blob[0] = 9;
  REQUIRE_THROWS_AS(read_pack(blob), SQLite::Exception);
}

TEST_CASE("what a commit brings together is in one row, and a crash leaves all of it", "[D-02][D-05]") {
  StoreRig rig;
  std::vector<MessagePtr> all;
  for (int i = 0; i < 12; ++i) all.push_back(rig.offer(i % 2 == 0 ? "a" : "b"));
  rig.process();
  rig.settle(all[2]);
  rig.settle(all[5], Outcome::rejected("x:y", "no"));
  rig.settle(all[2]);
  rig.process();
  rig.balanced();
  close(rig);
  SECTION("as they stand") {
    REQUIRE(count(rig, "pack") == 1);
    REQUIRE(count(rig, "message") == 0);
    const auto reader = SpoolReader::open(rig.folder.path("spool"), 1 << 30);
    REQUIRE(reader);
    REQUIRE((*reader)->kept().summary().waiting == 10);
    const auto books = report(*(*reader)->kept().books(), {}, std::nullopt);
    REQUIRE(books.total.unaccounted() == 0);
    REQUIRE(books.total.held.waiting == 10);
  }
  rig.open();
  REQUIRE(waiting(rig, "a") == std::vector<std::uint64_t>{1, 5, 7, 9, 11});
  REQUIRE(waiting(rig, "b") == std::vector<std::uint64_t>{2, 4, 8, 10, 12});
  REQUIRE(rig.balanced().total.held.dead_lettered == 1);
  close(rig);
  REQUIRE(count(rig, "pack") == 0);
  REQUIRE(count(rig, "message") == 10);
}

TEST_CASE("a pack goes with its last message, in whatever order they leave", "[D-04][D-06]") {
  StoreRig rig;
  std::vector<MessagePtr> all;
  for (int i = 0; i < 20; ++i) all.push_back(rig.offer("d" + std::to_string(i % 7)));
  rig.process();
  for (std::size_t i = 0; i < all.size(); ++i) {
    rig.settle(all[(i * 7) % all.size()]);
    rig.process();
    rig.balanced();
    REQUIRE(rig.spool->depth().messages == all.size() - i - 1);
  }
  REQUIRE(rig.capacity->bytes() == 0);
  close(rig);
  REQUIRE(count(rig, "pack") == 0);
  REQUIRE(count(rig, "pack_gone") == 0);
}

TEST_CASE("a device with a backlog has rows, in its order, and the others are packed", "[D-03]") {
  StoreRig rig;
  for (int i = 0; i < 15; ++i) {
    for (int few = 0; few < 3; ++few) rig.offer("slow");
    rig.process();  // too few for a pack
  }
  for (int i = 0; i < 6; ++i) {
    rig.offer("slow");
    rig.offer("quick");
  }
  rig.process();
  REQUIRE(waiting(rig, "slow").size() == 51);
  REQUIRE(waiting(rig, "quick").size() == 6);
  close(rig);
  REQUIRE(count(rig, "message") == 51);
  REQUIRE(count(rig, "pack") == 1);
}

TEST_CASE("packs have their room: past it the oldest becomes rows", "[D-06][D-03]") {
  StoreRig rig({.limits = {.max_bytes = 64 << 20}});
  std::vector<MessagePtr> all;
  // The room for packs of the default cap is 2 MiB.
  for (int i = 0; i < 60; ++i) {
    for (int device = 0; device < 10; ++device) all.push_back(rig.offer("d" + std::to_string(device), true, 8000));
    // So that every device has nothing but packs, all but one of each commit is taken.
    rig.process();
    for (int device = 0; device < 9; ++device) rig.settle(all[all.size() - 10 + static_cast<std::size_t>(device)]);
    rig.process();
  }
  const auto left = waiting(rig, "d9");
  REQUIRE(left.size() == 60);
  REQUIRE(std::is_sorted(left.begin(), left.end()));
  rig.balanced();
  close(rig);
  REQUIRE(count(rig, "message") > 0);
  const auto rows = count(rig, "message");
  rig.open();
  REQUIRE(waiting(rig, "d9") == left);
  REQUIRE(rig.spool->depth().messages == 60);
  REQUIRE(rows < 61);
  rig.balanced();
}

TEST_CASE("the books of many devices are kept in deltas, and read the same before and after they are folded",
          "[D-05]") {
  StoreRig rig;
  std::int64_t received = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<MessagePtr> all;
    for (int device = 0; device < 8; ++device) all.push_back(rig.offer("d" + std::to_string(device)));
    received += 8;
    rig.process();
    for (const auto& one : all) rig.settle(one);
    rig.process();
    const auto total = rig.balanced().total.tally;
    REQUIRE(total.received == received);
    REQUIRE(total.accepted == received);
    if (round == 37 || round == 111) rig.crash();
  }
  close(rig);
  REQUIRE(count(rig, "ledger_delta") < 64);
  rig.open();
  REQUIRE(rig.balanced().total.tally.accepted == received);
  close(rig);
  REQUIRE(count(rig, "ledger_delta") == 0);
}
