// SPDX-License-Identifier: Apache-2.0
// What the spool costs beside raw SQLite that does the same in the same run: enqueue in batches, then settle in
// batches. One JSON line each: messages per second, CPU and bytes written (from /proc/self/io, what reaches the block
// layer) per message; then a restart with many waiting. Figures, never a verdict; not while the machine does anything
// else.
//   trunkline-bench-store [--directory D] [--messages N] [--size B] [--devices N] [--process] [--waiting N]
#include <SQLiteCpp/SQLiteCpp.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gateway/base/log.h"
#include "gateway/pipeline/store.h"

using namespace trunkline;

namespace {

struct Options {
  std::string directory = "/tmp/trunkline-bench-store";
  std::size_t messages = 100'000, size = 200, devices = 100, waiting = 1'000'000;
  bool process = false;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::uint64_t written_bytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (io >> name >> value) {
    if (name == "write_bytes:") return value;
  }
  return 0;
}

class Measure {
 public:
  void print(const std::string& what, std::size_t batch, std::size_t messages) const {
    const auto wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const auto count = static_cast<double>(messages);
    std::printf(
        "{\"what\":\"%s\",\"batch\":%zu,\"messages\":%zu,\"per_second\":%.0f,\"cpu_us\":%.2f,\"written_bytes\":%.0f}\n",
        what.c_str(), batch, messages, count / wall, (cpu_seconds() - cpu_) * 1e6 / count,
        static_cast<double>(written_bytes() - written_) / count);
    std::fflush(stdout);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double cpu_ = cpu_seconds();
  std::uint64_t written_ = written_bytes();
};

std::string fresh(const Options& options) {
  std::filesystem::remove_all(options.directory);
  std::filesystem::create_directories(options.directory);
  return options.directory;
}

// As an engineer would write it by hand: the same table and journal mode, one transaction a batch, no index, no books.
void raw(const Options& options, std::size_t batch, std::size_t messages) {
  const auto directory = fresh(options);
  SQLite::Database db(directory + "/raw.db", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  db.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL");
  db.exec(options.process ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
  db.exec(
      "CREATE TABLE message(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, received INTEGER NOT NULL, source INTEGER "
      "NOT NULL, footprint INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL)");
  SQLite::Statement insert(
      db,
      "INSERT INTO message(id, device, received, source, footprint, head, body) VALUES(?,?,1763000000000,3,300,?,?)");
  SQLite::Statement erase(db, "DELETE FROM message WHERE id = ?");
  const std::string head(30, 'h');
  const std::string body(options.size, 'x');
  const Measure measure;
  for (std::size_t at = 0; at < messages; at += batch) {
    SQLite::Transaction arrivals(db, SQLite::TransactionBehavior::IMMEDIATE);
    for (std::size_t i = at; i < at + batch; ++i) {
      insert.bind(1, static_cast<std::int64_t>((1ULL << Position::kSequenceBits) + i));
      insert.bind(2, static_cast<std::int64_t>(i % options.devices));
      insert.bind(3, head.data(), static_cast<int>(head.size()));
      insert.bindNoCopy(4, body.data(), static_cast<int>(body.size()));
      insert.exec();
      insert.reset();
    }
    arrivals.commit();
    SQLite::Transaction settlements(db, SQLite::TransactionBehavior::IMMEDIATE);
    for (std::size_t i = at; i < at + batch; ++i) {
      erase.bind(1, static_cast<std::int64_t>((1ULL << Position::kSequenceBits) + i));
      erase.exec();
      erase.reset();
    }
    settlements.commit();
  }
  measure.print("raw", batch, messages);
}

struct Gateway {
  explicit Gateway(const std::string& directory)
      : spool(*Spool::open({.directory = directory, .max_bytes = 8ULL << 30})),
        capacity({.max_bytes = 7ULL << 30}),
        store(*spool, capacity, metrics, {.max_bytes = 8ULL << 30}) {}
  std::unique_ptr<Spool> spool;
  Capacity capacity;
  Metrics metrics;
  Store store;
};

MessagePtr message(const std::vector<DeviceId>& ids, std::uint64_t run, std::size_t i, const std::string& body) {
  return std::make_shared<Message>(
      Message{Position::make(run, i + 1), SystemClock().wall(),
              Telemetry{ids[i % ids.size()], body, "text/plain", "utf-8", {}, {}, Source::tcp}});
}

std::vector<DeviceId> ids_of(const Options& options) {
  std::vector<DeviceId> out;
  for (std::size_t i = 0; i < options.devices; ++i) out.push_back(*DeviceId::parse("device-" + std::to_string(i)));
  return out;
}

void spool(const Options& options, std::size_t batch, std::size_t messages) {
  Gateway gateway(fresh(options));
  const SystemClock clock;
  const auto ids = ids_of(options);
  const std::string body(options.size, 'x');
  std::size_t safe = 0;
  std::vector<StoreItem> items;
  const Measure measure;
  for (std::size_t at = 0; at < messages; at += batch) {
    std::vector<MessagePtr> sent;
    for (std::size_t i = at; i < at + batch; ++i) {
      auto one = message(ids, gateway.spool->run(), i, body);
      if (gateway.capacity.reserve(one->telemetry.device, one->footprint()) != Capacity::Answer::kept) std::abort();
      Arrival arrival{one, Completion<Admission>([&safe](const Admission&) { ++safe; })};
      arrival.synced = !options.process;
      items.emplace_back(std::move(arrival));
      sent.push_back(std::move(one));
    }
    if (gateway.store.process(items, clock.moment()).failed) std::abort();
    for (auto& one : sent) items.emplace_back(Settlement{std::move(one), Outcome::accepted()});
    if (gateway.store.process(items, clock.moment()).failed) std::abort();
  }
  measure.print("spool", batch, messages);
  if (safe != messages) std::abort();
}

// Every message written and none settled, in batches of 100: the bytes of P-07.
void written(const Options& options) {
  Gateway gateway(fresh(options));
  const SystemClock clock;
  const auto ids = ids_of(options);
  const std::string body(options.size, 'x');
  std::vector<StoreItem> items;
  const Measure measure;
  for (std::size_t i = 0; i < options.messages; ++i) {
    auto one = message(ids, gateway.spool->run(), i, body);
    if (gateway.capacity.reserve(one->telemetry.device, one->footprint()) != Capacity::Answer::kept) std::abort();
    Arrival arrival{std::move(one)};
    arrival.done = Completion<Admission>([](const Admission&) {});
    arrival.synced = !options.process;
    items.emplace_back(std::move(arrival));
    if (items.size() == 100 && gateway.store.process(items, clock.moment()).failed) std::abort();
  }
  measure.print("written only", 100, options.messages);
}

void restart(const Options& options) {
  const auto directory = fresh(options);
  {
    Gateway gateway(directory);
    const auto ids = ids_of(options);
    const std::string body(options.size, 'x');
    const SystemClock clock;
    std::vector<SpoolArrival> rows;
    for (std::size_t i = 0; i < options.waiting; ++i) {
      rows.push_back({message(ids, gateway.spool->run(), i, body)});
      if (rows.size() < 2000 && i + 1 < options.waiting) continue;
      if (!gateway.spool->commit({.arrivals = rows, .synced = false}, clock.moment())) std::abort();
      rows.clear();
    }
  }
  const auto start = std::chrono::steady_clock::now();
  Gateway gateway(directory);
  const auto ready = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("{\"what\":\"restart\",\"waiting\":%llu,\"disk_bytes\":%llu,\"ready_s\":%.3f}\n",
              static_cast<unsigned long long>(gateway.spool->depth().messages),
              static_cast<unsigned long long>(gateway.spool->bytes_on_disk()), ready);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("The spool beside raw SQLite");
  app.add_option("--directory", options.directory, "where; removed before and after")->capture_default_str();
  app.add_option("--messages", options.messages)->check(CLI::PositiveNumber);
  app.add_option("--size", options.size)->check(CLI::Range(1, 60'000));
  app.add_option("--devices", options.devices)->check(CLI::PositiveNumber);
  app.add_option("--waiting", options.waiting, "of the restart");
  app.add_flag("--process", options.process, "durability = \"process\"");
  CLI11_PARSE(app, argc, argv);
  log::set_level(log::Level::error);
  for (const std::size_t batch : {1u, 10u, 100u, 1000u}) {
    // Small batches are slow where every commit is synced.
    const auto messages = std::min(options.messages, batch * 2000) / batch * batch;
    raw(options, batch, messages);
    spool(options, batch, messages);
  }
  written(options);
  if (options.waiting > 0) restart(options);
  std::filesystem::remove_all(options.directory);
}
