// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool.h"

#include <sqlite3.h>

#include "gateway/pipeline/spool_row.h"
#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"
#include "tests/support/temporary_folder.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

std::unique_ptr<Spool> open(const TemporaryFolder& folder) {
  auto spool = Spool::open({.directory = folder.path("spool")});
  INFO((spool ? "" : spool.error().message));
  REQUIRE(spool);
  return std::move(*spool);
}

void write(Spool& spool, const std::vector<MessagePtr>& arrivals, const std::vector<Settlement>& settlements = {}) {
  std::vector<SpoolArrival> rows;
  for (const auto& one : arrivals) rows.push_back({one});
  const auto done = spool.commit({.arrivals = rows, .settlements = settlements}, Moment{});
  INFO((done ? "" : done.error().message));
  REQUIRE(done);
}

std::vector<std::uint64_t> sequences(const std::vector<MessagePtr>& messages) {
  std::vector<std::uint64_t> out;
  for (const auto& one : messages) out.push_back(one->position.sequence());
  return out;
}

}  // namespace

TEST_CASE("a committed message is there after a restart, byte for byte, under the same position", "[D-02]") {
  TemporaryFolder folder;
  std::string uuid;
  {
    auto spool = open(folder);
    uuid = spool->uuid();
    REQUIRE(uuid.size() == 32);
    auto full = *message("a", 1, std::string("b\0dy", 4));
    full.telemetry.content_encoding = "utf-8";
    full.telemetry.properties = {{"k", "v"}, {"empty", ""}};
    full.telemetry.source_key = "key";
    full.telemetry.source = Source::coap;
    full.received = WallTime(Milliseconds(1'700'000'000'123));
    write(*spool, {std::make_shared<Message>(full), message("b", 2)});
  }
  auto spool = open(folder);
  REQUIRE(spool->uuid() == uuid);
  REQUIRE(spool->run() == 2);
  REQUIRE(spool->depth().messages == 2);
  const auto rows = spool->read(device_id("a"), {}, 10, 1000);
  REQUIRE(rows);
  REQUIRE(rows->size() == 1);
  const auto& telemetry = rows->front()->telemetry;
  REQUIRE(rows->front()->position == Position::make(1, 1));
  REQUIRE(rows->front()->received.time_since_epoch().count() == 1'700'000'000'123);
  REQUIRE(telemetry.body == std::string("b\0dy", 4));
  REQUIRE(telemetry.content_type == "text/plain");
  REQUIRE(telemetry.content_encoding == "utf-8");
  REQUIRE(telemetry.properties == std::vector<Property>{{"k", "v"}, {"empty", ""}});
  REQUIRE(telemetry.source_key == "key");
  REQUIRE(telemetry.source == Source::coap);
}

TEST_CASE("every opening has a run number of its own, so ids never repeat", "[D-03]") {
  TemporaryFolder folder;
  for (std::uint64_t run = 1; run <= 3; ++run) REQUIRE(open(folder)->run() == run);
  REQUIRE(message_id("u", Position::make(3, 9)) == "u-3-9");
  REQUIRE(Position::make(2, 1) > Position::make(1, 1ULL << 39));
}

TEST_CASE("reading goes on behind a position, bounded in count and bytes, per device", "[D-03]") {
  TemporaryFolder folder;
  auto spool = open(folder);
  std::vector<MessagePtr> arrivals;
  for (std::uint64_t i = 1; i <= 20; ++i)
    arrivals.push_back(message(i % 2 == 0 ? "even" : "odd", i, std::string(100, 'x')));
  write(*spool, arrivals);
  REQUIRE(sequences(*spool->read(device_id("odd"), {}, 3, 100'000)) == std::vector<std::uint64_t>{1, 3, 5});
  REQUIRE(sequences(*spool->read(device_id("odd"), Position::make(1, 5), 3, 100'000)) ==
          std::vector<std::uint64_t>{7, 9, 11});
  REQUIRE(spool->read(device_id("odd"), {}, 10, 1)->size() == 1);
  REQUIRE(spool->has_after(device_id("odd"), Position::make(1, 17)));
  REQUIRE_FALSE(spool->has_after(device_id("odd"), Position::make(1, 19)));
  REQUIRE(spool->read(device_id("nobody"), {}, 10, 100)->empty());
}

TEST_CASE("settled messages go, rejected ones to the dead letters, whatever the order", "[D-04]") {
  TemporaryFolder folder;
  {
    auto spool = open(folder);
    std::vector<MessagePtr> arrivals;
    for (std::uint64_t i = 1; i <= 4; ++i) arrivals.push_back(message("a", i));
    write(*spool, arrivals);
    write(*spool, {}, {{arrivals[2], Outcome::accepted()}, {arrivals[0], Outcome::rejected("amqp:not-allowed", "no")}});
    REQUIRE(spool->depth().messages == 2);
    REQUIRE(spool->depth().dead_letters == 1);
    // A message that is rejected before it was written goes to the dead letters in the commit that would have written
    // it (D-01).
    const auto late = message("a", 5);
    write(*spool, {late}, {{late, Outcome::rejected("amqp:not-allowed", "no")}});
  }
  auto spool = open(folder);
  REQUIRE(sequences(*spool->read(device_id("a"), {}, 10, 100'000)) == std::vector<std::uint64_t>{2, 4});
  REQUIRE(spool->depth().messages == 2);
  REQUIRE(spool->depth().dead_letters == 2);
  REQUIRE(spool->depth().dead_letter_bytes == 2 * message("a", 1)->footprint());
}

TEST_CASE("what a device did with a command is kept over a restart", "[C-01]") {
  TemporaryFolder folder;
  const auto now = SystemClock().wall();
  {
    auto spool = open(folder);
    const std::vector<Note> records{
        CommandRecord{device_id("a"), 7, WallTime(Milliseconds(5)), "m-1", Outcome::rejected("x:y", "broken"), now}};
    REQUIRE(spool->commit({.notes = records}, Moment{{}, now}));
  }
  auto spool = open(folder);
  const auto records = spool->commands();
  REQUIRE(records);
  REQUIRE(records->size() == 1);
  REQUIRE(records->front().sequence == 7);
  REQUIRE(records->front().enqueued == WallTime(Milliseconds(5)));
  REQUIRE(records->front().id == "m-1");
  REQUIRE(records->front().outcome.kind == Outcome::Kind::rejected);
  REQUIRE(records->front().outcome.description == "broken");
}

TEST_CASE("of what devices did the last ones are kept, however many there are", "[C-01][D-06]") {
  TemporaryFolder folder;
  const auto now = SystemClock().wall();
  auto opened = Spool::open({.directory = folder.path("spool"), .max_bytes = 1 << 20});
  REQUIRE(opened);
  auto& spool = *opened;
  std::uint64_t sequence = 0;
  std::size_t most = 0;
  for (int commit = 0; commit < 60; ++commit) {
    std::vector<Note> records;
    for (int i = 0; i < 100; ++i) {
      ++sequence;
      records.emplace_back(CommandRecord{device_id("a"), sequence, WallTime{}, "m-" + std::to_string(sequence),
                                         Outcome::accepted(), now + Milliseconds(sequence)});
    }
    REQUIRE(spool->commit({.notes = records}, Moment{{}, now}));
    most = std::max(most, spool->commands()->size());
  }
  const auto kept = spool->commands();
  REQUIRE(most < 200);
  REQUIRE(kept->size() > 90);
  REQUIRE(kept->back().sequence == sequence);
  for (std::size_t i = 1; i < kept->size(); ++i) REQUIRE((*kept)[i].sequence == (*kept)[i - 1].sequence + 1);
}

TEST_CASE("a second instance is refused while the first holds the spool", "[D-02]") {
  TemporaryFolder folder;
  auto first = open(folder);
  const auto second = Spool::open({.directory = folder.path("spool")});
  REQUIRE_FALSE(second);
  REQUIRE(second.error().code == ErrorCode::exists);
}

TEST_CASE("a newer or foreign file is refused and left as it is", "[D-02]") {
  TemporaryFolder folder;
  open(folder);
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(folder.path("spool/spool.db").c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  const auto refused = Spool::open({.directory = folder.path("spool")});
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().message.find("newer version") != std::string::npos);
}

TEST_CASE("a head that was cut short is refused, at every length", "[D-02]") {
  auto telemetry = message("a", 1)->telemetry;
  telemetry.properties = {{"name", "value"}};
  const auto blob = encode_head(telemetry);
  REQUIRE(decode_head(device_id("a"), blob));
  // A cut between properties leaves a shorter but whole head; any other cut must be noticed.
  const auto without = blob.size() - (4 + 4 + 4 + 5);
  for (std::size_t size = 0; size < blob.size(); ++size) {
    CAPTURE(size);
    REQUIRE(decode_head(device_id("a"), std::string_view(blob).substr(0, size)).has_value() == (size == without));
  }
  std::string huge(1, '\1');
  huge += "\xff\xff\xff\x7f";
  REQUIRE_FALSE(decode_head(device_id("a"), huge));
}
