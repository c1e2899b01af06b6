// SPDX-License-Identifier: Apache-2.0
// What happens to the spool's file as a file: older, newer, damaged, locked, not ours.
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;

namespace fs = std::filesystem;

namespace {

std::vector<std::string> set_aside_files(const TemporaryFolder& folder) {
  std::vector<std::string> out;
  for (const auto& file : fs::directory_iterator(folder.path("spool"))) {
    if (file.path().filename().string().rfind("spool.db.damaged-", 0) == 0) out.push_back(file.path().string());
  }
  return out;
}

void put(const std::string& path, std::streamoff at, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << bytes;
  REQUIRE(file.good());
}

class Other {
 public:
  explicit Other(const std::string& path) { REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK); }
  ~Other() { sqlite3_close(db_); }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  int exec(const char* text) { return sqlite3_exec(db_, text, nullptr, nullptr, nullptr); }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace

TEST_CASE("a file of version 1 is brought up to date with everything in it", "[D-02][D-05]") {
  TemporaryFolder folder;
  fs::create_directories(folder.path("spool"));
  fs::copy_file(std::string(TRUNKLINE_FIXTURES) + "/spool-1.db", folder.path("spool/spool.db"));
  for (int round = 0; round < 2; ++round) {
    auto opened = Spool::open({.directory = folder.path("spool")});
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    const auto& spool = **opened;
    REQUIRE(spool.uuid() == "4a789cf09466865779f0530e89a8fb74");
    REQUIRE(spool.run() == 2 + static_cast<unsigned>(round));
    REQUIRE(spool.depth().messages == 4);
    REQUIRE(spool.depth().dead_letters == 1);
    const auto rows = (*opened)->read(device_id("tank-3"), {}, 10, 100'000);
    REQUIRE(rows);
    REQUIRE(rows->size() == 2);
    REQUIRE(rows->front()->position == Position::make(1, 4));
    REQUIRE(rows->front()->telemetry.body == "body 4");
    REQUIRE(rows->front()->telemetry.source_key == "key-4");
    REQUIRE_FALSE(rows->front()->telemetry.device_time);
    const auto letters = spool.dead_letters({.with_telemetry = true});
    REQUIRE(letters);
    REQUIRE(letters->front().condition == "amqp:not-allowed");
    REQUIRE(letters->front().telemetry->body == "body 2");
    REQUIRE(spool.commands()->size() == 1);
    const auto books = report(*spool.books(), {}, std::nullopt);
    REQUIRE(books.total.tally.received == 5);
    REQUIRE(books.total.tally.dead_lettered == 1);
    REQUIRE(books.total.unaccounted() == 0);
    for (const auto& device : books.devices) REQUIRE(device.unaccounted() == 0);
  }
}

TEST_CASE("a file of version 2 is brought up to date with everything in it", "[D-02][D-05]") {
  TemporaryFolder folder;
  fs::create_directories(folder.path("spool"));
  fs::copy_file(std::string(TRUNKLINE_FIXTURES) + "/spool-2.db", folder.path("spool/spool.db"));
  for (int round = 0; round < 2; ++round) {
    auto opened = Spool::open({.directory = folder.path("spool")});
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    auto& spool = **opened;
    REQUIRE(spool.depth().messages == 5);
    std::vector<MessagePtr> all;
    for (const auto& device : spool.devices()) {
      const auto rows = spool.read(device.device, {}, 10, 100'000);
      REQUIRE(rows);
      all.insert(all.end(), rows->begin(), rows->end());
    }
    const auto last = std::find_if(all.begin(), all.end(),
                                   [](const MessagePtr& one) { return one->position == Position::make(1, 9); });
    REQUIRE(last != all.end());
    REQUIRE((*last)->telemetry.device_time == WallTime(Milliseconds(1'600'000'000'456)));
    REQUIRE((*last)->telemetry.properties == std::vector<Property>{{"unit", "C"}});
    const auto books = report(*spool.books(), {}, std::nullopt);
    REQUIRE(books.total.tally.received == 6);
    REQUIRE(books.total.tally.duplicates == 3);
    REQUIRE(books.total.unaccounted() == 0);
  }
}

TEST_CASE("a file of version 3 is brought up to date with everything in it", "[D-02][D-05]") {
  TemporaryFolder folder;
  fs::create_directories(folder.path("spool"));
  fs::copy_file(std::string(TRUNKLINE_FIXTURES) + "/spool-3.db", folder.path("spool/spool.db"));
  for (int round = 0; round < 2; ++round) {
    auto opened = Spool::open({.directory = folder.path("spool")});
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    auto& spool = **opened;
    REQUIRE(spool.depth().messages == 7);
    REQUIRE(spool.depth().dead_letters == 1);
    REQUIRE(spool.commands()->size() == 2 + static_cast<std::size_t>(round));
    const auto books = report(*spool.books(), {}, std::nullopt);
    REQUIRE(books.total.tally.received == 8);
    REQUIRE(books.total.unaccounted() == 0);
    // What is new is empty, and works.
    REQUIRE(spool.kept_commands()->size() == static_cast<std::size_t>(round));
    REQUIRE(spool.twins()->size() == static_cast<std::size_t>(round));
    if (round > 0) continue;
    KeptCommand kept{1, Command{device_id("tank-3")}};
    kept.command.expires = WallTime(Milliseconds(5));
    const std::vector<Note> notes{
        TakenCommand{kept, {device_id("tank-3"), 9, WallTime{}, "", Outcome::accepted(), SystemClock().wall()}},
        TwinCopy{device_id("tank-3"), 4, "{}"}};
    REQUIRE(spool.commit({.notes = notes}, SystemClock().moment()));
  }
}

TEST_CASE("a migration that fails leaves the older file as it was", "[D-02]") {
  TemporaryFolder folder;
  fs::create_directories(folder.path("spool"));
  const auto path = folder.path("spool/spool.db");
  fs::copy_file(std::string(TRUNKLINE_FIXTURES) + "/spool-1.db", path);
  // The last statement of the step fails: that table is there already.
  REQUIRE(Other(path).exec("ALTER TABLE meta ADD COLUMN trusted INTEGER") == SQLITE_OK);
  REQUIRE_FALSE(Spool::open({.directory = folder.path("spool")}));
  Other other(path);
  REQUIRE(other.exec("SELECT * FROM ledger") != SQLITE_OK);
  REQUIRE(other.exec("SELECT * FROM message") == SQLITE_OK);
  REQUIRE(set_aside_files(folder).empty());
}

TEST_CASE("a newer file is refused and not touched", "[D-02]") {
  TemporaryFolder folder;
  Spool::open({.directory = folder.path("spool")});
  REQUIRE(Other(folder.path("spool/spool.db")).exec("PRAGMA user_version=99") == SQLITE_OK);
  const auto refused = Spool::open({.directory = folder.path("spool")});
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().code == ErrorCode::invalid);
  REQUIRE(set_aside_files(folder).empty());
}

TEST_CASE("a damaged file is set aside under another name, and a new one is made", "[D-02][D-03]") {
  StoreRig rig;
  for (int i = 0; i < 200; ++i) rig.offer("a", true, 500);
  rig.process();
  const auto uuid = rig.spool->uuid();
  rig.store.reset();
  rig.spool.reset();
  const auto path = rig.folder.path("spool/spool.db");
  SECTION("its head") {
    put(path, 0, std::string(64, '#'));
  }
  SECTION("its tables") {
    put(path, 4096, std::string(20 * 4096, '#'));
  }
  SECTION("it is no database") {
    std::ofstream(path) << "hello, I am no database at all";
  }
  const auto bytes = fs::file_size(path);
  rig.open();
  REQUIRE(rig.spool->uuid() != uuid);
  REQUIRE(rig.spool->depth().messages == 0);
  const auto aside = set_aside_files(rig.folder);
  REQUIRE(aside.size() == 1);
  REQUIRE(fs::file_size(aside.front()) == bytes);
  REQUIRE(rig.store->status(rig.now.steady).set_aside == aside.front());
  rig.offer("a");
  rig.process();
  REQUIRE(rig.spool->depth().messages == 1);
}

TEST_CASE("damage that is met while the file is in use is told, and the next start sets the file aside", "[D-02]") {
  StoreRig rig({.limits = {.max_bytes = 8 << 20}});
  // Larger than what SQLite keeps in memory.
  for (int i = 0; i < 50; ++i) rig.offer("a", true, 80'000);
  rig.process();
  rig.crash();  // its journal is in the file now
  const auto path = rig.folder.path("spool/spool.db");
  // What lies behind the first pages: the messages.
  put(path, 12 * 4096, std::string(static_cast<std::size_t>(fs::file_size(path)) - 12 * 4096, '#'));
  bool damaged = false;
  for (std::uint64_t i = 1; i <= 50 && !damaged; ++i) {
    rig.items.emplace_back(ReadRequest{DeviceSlot{0}, device_id("a"), Position::make(1, i - 1), 1, 100'000});
    damaged = rig.process().damaged;
  }
  REQUIRE(damaged);
  REQUIRE(set_aside_files(rig.folder).empty());
  rig.crash();
  REQUIRE(set_aside_files(rig.folder).size() == 1);
  REQUIRE(rig.spool->depth().messages == 0);
}

TEST_CASE("a file that another program has locked is an error at start, and nothing else", "[D-02]") {
  TemporaryFolder folder;
  Spool::open({.directory = folder.path("spool")});
  {
    Other other(folder.path("spool/spool.db"));
    REQUIRE(other.exec("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE") == SQLITE_OK);
    const auto refused = Spool::open({.directory = folder.path("spool")});
    REQUIRE_FALSE(refused);
    REQUIRE(refused.error().code == ErrorCode::unavailable);
    REQUIRE(set_aside_files(folder).empty());
  }
  REQUIRE(Spool::open({.directory = folder.path("spool")}));
}

TEST_CASE("a place where nothing can be made is an error at start that names it", "[D-02]") {
  TemporaryFolder folder;
  std::ofstream(folder.path("file")) << "x";
  const auto refused = Spool::open({.directory = folder.path("file/spool")});
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().code == ErrorCode::denied);
  REQUIRE(refused.error().message.find(folder.path("file/spool")) != std::string::npos);
}
