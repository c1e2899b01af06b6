// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "gateway/base/log.h"
#include "gateway/pipeline/age_clock.h"
#include "gateway/pipeline/command_records.h"
#include "gateway/pipeline/dead_letters.h"
#include "gateway/pipeline/ledger.h"
#include "gateway/pipeline/spool_file.h"
#include "gateway/pipeline/spool_index.h"
#include "gateway/pipeline/spool_row.h"
#include "gateway/pipeline/spool_schema.h"

namespace trunkline {
namespace {

// Positions that were dropped or expired and may still be on their way to the hub; older ones are forgotten.
constexpr std::size_t kRemembered = 100'000;
// Before this no wall clock is right, and a booking goes to the last day that there was.
constexpr WallTime kFirstDay{std::chrono::sys_days{std::chrono::year{2025} / 1 / 1}.time_since_epoch()};

class Mask {
 public:
  Mask() : before_(::umask(0077)) {}
  ~Mask() { ::umask(before_); }
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;

 private:
  mode_t before_;
};

}  // namespace

class Spool::Impl {
 public:
  explicit Impl(const Options& options)
      : options_(options),
        db_(spool_path(options.directory), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 2000),
        marks_(options.age_step) {
    // One process, one connection: no shared-memory index is needed, and none is left behind by a crash.
    db_.exec("PRAGMA locking_mode=EXCLUSIVE");
    db_.exec("PRAGMA auto_vacuum=INCREMENTAL");
    const std::string mode = db_.execAndGet("PRAGMA journal_mode=WAL").getString();
    if (mode != "wal")
      throw SQLite::Exception("this file system refuses SQLite's WAL mode (got " + mode + ")", SQLITE_IOERR);
    const auto journal = journal_pages(options.max_bytes);
    db_.exec("PRAGMA wal_autocheckpoint=" + std::to_string(journal));
    db_.exec("PRAGMA journal_size_limit=" + std::to_string(journal * kSpoolPage));
    db_.exec("PRAGMA synchronous=FULL");
    spool_schema(db_);
    // The last fence of D-06; what limits messages stands well before it.
    const auto room = options.max_bytes - std::min(options.max_bytes, journal_room(options.max_bytes));
    db_.exec("PRAGMA max_page_count=" + std::to_string(std::max<std::uint64_t>(room / kSpoolPage, 64)));
    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    migrate_spool(db_);
    db_.exec("UPDATE meta SET run = run + 1");
    CommandRecords::prune(db_, options.now.wall);
    Ledger::fold(db_, std::max<std::uint64_t>(options.max_bytes / 100 / 64, 100));
    transaction.commit();
    load();
    insert_.emplace(db_,
                    "INSERT INTO message(id, device, received, source, footprint, head, body) VALUES(?,?,?,?,?,?,?)");
    erase_.emplace(db_, "DELETE FROM message WHERE id = ?");
    select_.emplace(db_, "SELECT received, source, head, body FROM message WHERE id = ?");
    mark_.emplace(db_, "INSERT OR REPLACE INTO age_mark(before, age) VALUES(?,?)");
    left_.emplace(db_, "UPDATE meta SET age = ?, wall = ?, trusted = ?");
    ledger_.emplace(db_);
    dead_letters_.emplace(db_);
    records_.emplace(db_);
  }

  Committed commit(const SpoolBatch& batch, const Moment& now) {
    number_devices(batch);
    set_synced(batch.synced);
    Committed out;
    Tallies tallies;
    if (batch.booked != nullptr) tallies = *batch.booked;
    std::vector<Gone> gone;                               // rows that left the table of messages
    std::vector<std::pair<DeviceId, std::int64_t>> died;  // change in bytes of dead letters
    std::unordered_set<std::uint64_t> corrected;

    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const auto& arrival : batch.arrivals) {
      const auto& id = arrival.message->telemetry.device;
      bool requeued = false;
      if (arrival.replaces) {
        if (const auto was = dead_letters_->remove(*arrival.replaces)) {
          requeued = true;
          died.emplace_back(id, -static_cast<std::int64_t>(was->footprint));
        }
      }
      bind_message(*insert_, *arrival.message, number(id));
      insert_->exec();
      insert_->reset();
      ++(requeued ? tallies[id].requeued : tallies[id].received);
    }
    for (const auto& [message, outcome] : batch.settlements) {
      const auto& id = message->telemetry.device;
      const bool accepted = outcome.kind == Outcome::Kind::accepted;
      if (erase(message->position.value)) {
        // A message that dies keeps its room: it stays on the disk.
        gone.push_back({id, message->position.value, accepted});
        if (accepted) {
          ++tallies[id].accepted;
        } else {
          dead_letters_->bury(*message, number(id), outcome, now.wall);
          died.emplace_back(id, static_cast<std::int64_t>(message->footprint()));
          ++tallies[id].dead_lettered;
        }
      } else if (const auto dropped = dropped_.find(message->position.value);
                 accepted && dropped != dropped_.end() && corrected.insert(dropped->first).second) {
        // It was on its way when a limit took it; the hub has it, so it was not lost.
        ++tallies[id].accepted;
        tallies[id].drop(dropped->second, -1);
      }
    }
    for (const auto& record : batch.commands) records_->write(record, number(record.device));
    for (const auto& removal : batch.removals) {
      if (!erase(removal.position.value)) continue;
      gone.push_back({removal.device, removal.position.value, true});
      out.removed.push_back(removal);
      tallies[removal.device].drop(removal.why);
    }
    for (const auto position : batch.purged) {
      const auto was = dead_letters_->remove(position);
      if (!was) continue;
      const auto& id = names_.at(was->device);
      died.emplace_back(id, -static_cast<std::int64_t>(was->footprint));
      tallies[id].drop(Drop::purged);
    }
    const auto day = now.wall >= kFirstDay ? day_of(now.wall) : last_day_;
    for (const auto& [id, tally] : tallies) {
      if (tally != Tally{}) ledger_->book(day, number(id), tally);
    }
    const auto age = clock_.age(now.steady);
    std::uint64_t marked = 0;
    if (!batch.arrivals.empty() && marks_.due(age)) {
      for (const auto& arrival : batch.arrivals) marked = std::max(marked, arrival.message->position.value + 1);
      write_mark(marked, age, now);
    }
    transaction.commit();

    last_day_ = day;
    if (marked > 0) {
      marks_.add(marked, age);
      marks_.forget(index_.oldest());
    }
    for (const auto& arrival : batch.arrivals) {
      index_.append(arrival.message->telemetry.device, {arrival.message->position.value, arrival.message->footprint()});
    }
    for (const auto& [id, position, frees] : gone) {
      const auto footprint = index_.remove(id, position);
      if (footprint && frees) out.freed.push_back({id, *footprint});
    }
    for (const auto& [id, bytes] : died) {
      auto& dead = dead_[id];
      dead.messages += bytes > 0 ? 1 : static_cast<std::uint64_t>(-1);
      dead.bytes += static_cast<std::uint64_t>(bytes);
      if (bytes < 0) out.freed.push_back({id, static_cast<std::uint64_t>(-bytes)});
    }
    for (const auto& removal : batch.removals) remember(removal);
    for (const auto position : corrected) dropped_.erase(position);
    for (const auto& [id, tally] : tallies) out.booked += tally;
    return out;
  }

  std::vector<MessagePtr> read(const DeviceId& id, Position after, std::size_t limit, std::size_t max_bytes) {
    std::vector<MessagePtr> out;
    const auto* device = index_.find(id);
    if (device == nullptr) return out;
    std::size_t bytes = 0;
    for (auto row = SpoolIndex::behind(*device, after.value); row != device->rows.end() && out.size() < limit; ++row) {
      if (!out.empty() && bytes + row->footprint > max_bytes) break;
      bytes += row->footprint;
      select_->bind(1, static_cast<std::int64_t>(row->position));
      if (!select_->executeStep()) {
        throw SQLite::Exception("row " + std::to_string(row->position) + " is missing", SQLITE_CORRUPT);
      }
      auto telemetry = read_telemetry(id, *select_, 1);
      if (!telemetry)
        throw SQLite::Exception("row " + std::to_string(row->position) + " is unreadable", SQLITE_CORRUPT);
      const WallTime received(Milliseconds(select_->getColumn(0).getInt64()));
      select_->reset();
      out.push_back(std::make_shared<Message>(Message{{row->position}, received, std::move(*telemetry)}));
    }
    return out;
  }

  // For an orderly end: how old everything is by now.
  void leave(const Moment& now) {
    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    write_mark(index_.newest() + 1, clock_.age(now.steady), now);
    transaction.commit();
  }

  void reset_statements() noexcept {
    for (auto* statement : {&insert_, &erase_, &select_, &mark_, &left_}) {
      if (*statement) (*statement)->tryReset();
    }
    if (ledger_) ledger_->reset();
    if (dead_letters_) dead_letters_->reset();
    if (records_) records_->reset();
  }

  Books books() {
    Books out;
    for (const auto& row : Ledger::rows(db_)) out.days[row.day][names_.at(row.device).text()] = row.tally;
    for (const auto& [id, device] : index_.devices()) {
      if (!device.rows.empty()) out.held[id.text()].waiting = device.rows.size();
    }
    SQLite::Statement dead(db_, "SELECT device, count(*) FROM dead_letter GROUP BY device");
    while (dead.executeStep()) {
      out.held[names_.at(dead.getColumn(0).getInt64()).text()].dead_lettered =
          static_cast<std::uint64_t>(dead.getColumn(1).getInt64());
    }
    return out;
  }

  struct Gone {
    DeviceId device;
    std::uint64_t position;
    bool frees;
  };
  struct Dead {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };

  std::optional<InstanceLock> lock_;  // let go after the database is closed
  const Options options_;
  std::string uuid_;
  std::uint64_t run_ = 0;
  std::string set_aside_;
  std::optional<std::chrono::microseconds> sync_time_;
  SQLite::Database db_;
  SpoolIndex index_;
  std::unordered_map<DeviceId, Dead> dead_;
  AgeClock clock_;
  AgeMarks marks_;

 private:
  void load() {
    SQLite::Statement meta(db_, "SELECT uuid, run, age, wall, trusted FROM meta");
    if (!meta.executeStep()) throw SQLite::Exception("the table meta is empty", SQLITE_CORRUPT);
    uuid_ = meta.getColumn(0).getString();
    run_ = static_cast<std::uint64_t>(meta.getColumn(1).getInt64());
    const AgeClock::Left left{Milliseconds(meta.getColumn(2).getInt64()),
                              WallTime(Milliseconds(meta.getColumn(3).getInt64())), meta.getColumn(4).getInt() != 0};
    meta.reset();
    clock_ = AgeClock(left, options_.now);
    std::unordered_map<std::int64_t, SpoolIndex::Device*> by_number;
    SQLite::Statement names(db_, "SELECT id, name FROM device");
    while (names.executeStep()) {
      auto id = DeviceId::parse(names.getColumn(1).getString());
      if (!id) throw SQLite::Exception("a device name is invalid", SQLITE_CORRUPT);
      const auto number = names.getColumn(0).getInt64();
      by_number[number] = &index_.add(*id, number);
      names_.emplace(number, std::move(*id));
    }
    SQLite::Statement rows(db_, "SELECT id, device, footprint FROM message ORDER BY id");
    while (rows.executeStep()) {
      const auto owner = by_number.find(rows.getColumn(1).getInt64());
      if (owner == by_number.end()) throw SQLite::Exception("a message belongs to no device", SQLITE_CORRUPT);
      index_.append(*owner->second, {static_cast<std::uint64_t>(rows.getColumn(0).getInt64()),
                                     static_cast<std::uint64_t>(rows.getColumn(2).getInt64())});
    }
    SQLite::Statement dead(db_, "SELECT device, count(*), sum(footprint) FROM dead_letter GROUP BY device");
    while (dead.executeStep()) {
      const auto owner = names_.find(dead.getColumn(0).getInt64());
      if (owner == names_.end()) throw SQLite::Exception("a dead letter belongs to no device", SQLITE_CORRUPT);
      dead_[owner->second] = {static_cast<std::uint64_t>(dead.getColumn(1).getInt64()),
                              static_cast<std::uint64_t>(dead.getColumn(2).getInt64())};
    }
    SQLite::Statement marks(db_, "SELECT before, age FROM age_mark ORDER BY before");
    bool known = false;
    while (marks.executeStep()) {
      known = true;
      marks_.add(static_cast<std::uint64_t>(marks.getColumn(0).getInt64()),
                 Milliseconds(marks.getColumn(1).getInt64()));
    }
    const auto age = clock_.age(options_.now.steady);
    if (index_.messages() > 0 && !marks_.covers(index_.newest())) {
      // What came after the last mark came within a step of it; of an older file's messages nothing is known.
      marks_.add(index_.newest() + 1, known ? std::min(left.age + marks_.step(), age) : age);
    }
    const auto booked = Ledger::rows(db_);
    if (!booked.empty()) last_day_ = booked.back().day;
  }

  [[nodiscard]] std::int64_t number(const DeviceId& id) const { return index_.find(id)->number; }

  // New devices first, in a transaction of their own: their numbers stay valid whatever becomes of the rest.
  void number_devices(const SpoolBatch& batch) {
    std::vector<const DeviceId*> fresh;
    const auto look = [&](const DeviceId& id) {
      if (index_.find(id) == nullptr) fresh.push_back(&id);
    };
    for (const auto& arrival : batch.arrivals) look(arrival.message->telemetry.device);
    for (const auto& settlement : batch.settlements) look(settlement.message->telemetry.device);
    for (const auto& command : batch.commands) look(command.device);
    if (batch.booked != nullptr) {
      for (const auto& [id, tally] : *batch.booked) look(id);
    }
    if (fresh.empty()) return;
    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement insert(db_, "INSERT OR IGNORE INTO device(name) VALUES(?)");
    SQLite::Statement select(db_, "SELECT id FROM device WHERE name = ?");
    std::vector<std::pair<const DeviceId*, std::int64_t>> numbers;
    for (const auto* id : fresh) {
      insert.bind(1, id->text());
      insert.exec();
      insert.reset();
      select.bind(1, id->text());
      select.executeStep();
      numbers.emplace_back(id, select.getColumn(0).getInt64());
      select.reset();
    }
    transaction.commit();
    for (const auto& [id, number] : numbers) {
      index_.add(*id, number);
      names_.emplace(number, *id);
    }
  }

  void set_synced(bool synced) {
    if (synced == synced_) return;
    db_.exec(synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    synced_ = synced;
  }

  bool erase(std::uint64_t position) {
    erase_->bind(1, static_cast<std::int64_t>(position));
    const int changed = erase_->exec();
    erase_->reset();
    return changed > 0;
  }

  void write_mark(std::uint64_t before, Milliseconds age, const Moment& now) {
    mark_->bind(1, static_cast<std::int64_t>(before));
    mark_->bind(2, static_cast<std::int64_t>(age.count()));
    mark_->exec();
    mark_->reset();
    left_->bind(1, static_cast<std::int64_t>(age.count()));
    left_->bind(2, static_cast<std::int64_t>(now.wall.time_since_epoch().count()));
    left_->bind(3, now.trusted ? 1 : 0);
    left_->exec();
    left_->reset();
    SQLite::Statement prune(db_, "DELETE FROM age_mark WHERE before <= ? AND before < ?");
    prune.bind(1, static_cast<std::int64_t>(index_.oldest()));
    prune.bind(2, static_cast<std::int64_t>(before));
    prune.exec();
  }

  void remember(const Removal& removal) {
    dropped_.emplace(removal.position.value, removal.why);
    dropped_order_.push_back(removal.position.value);
    if (dropped_order_.size() <= kRemembered) return;
    dropped_.erase(dropped_order_.front());
    dropped_order_.pop_front();
  }

  std::unordered_map<std::int64_t, DeviceId> names_;
  std::unordered_map<std::uint64_t, Drop> dropped_;
  std::deque<std::uint64_t> dropped_order_;
  std::int64_t last_day_ = 0;
  bool synced_ = true;
  std::optional<SQLite::Statement> insert_, erase_, select_, mark_, left_;
  std::optional<Ledger> ledger_;
  std::optional<DeadLetters> dead_letters_;
  std::optional<CommandRecords> records_;
};

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Spool::~Spool() = default;

Result<std::unique_ptr<Spool>> Spool::open(const Options& options) {
  std::error_code made;
  if (std::filesystem::create_directories(options.directory, made)) ::chmod(options.directory.c_str(), 0700);
  if (made) return fail(ErrorCode::denied, options.directory + ": " + made.message());
  auto lock = InstanceLock::take(options.directory, InstanceLock::Use::alone);
  if (!lock) return fail(lock.error());
  const Mask mask;
  std::string aside;
  std::string damage = marked_damaged(options.directory) ? "damage was met while it was in use" : "";
  for (;;) {
    if (!damage.empty()) {
      auto moved = trunkline::set_aside(options.directory, options.now.wall);
      if (!moved) return fail(moved.error());
      aside = std::move(*moved);
      log::error("spool_set_aside", {{"file", aside},
                                     {"error", damage},
                                     {"do", "messages in it are not lost yet: keep the file, see OPERATIONS.md"}});
    }
    try {
      auto impl = std::make_unique<Impl>(options);
      impl->lock_.emplace(std::move(*lock));
      impl->set_aside_ = aside;
      if (options.measure_sync) impl->sync_time_ = measure_sync(options.directory);
      return std::unique_ptr<Spool>(new Spool(std::move(impl)));
    } catch (const SQLite::Exception& e) {
      const auto error = from_sqlite(e, spool_path(options.directory));
      if (error.code != ErrorCode::corrupt || !aside.empty()) return fail(error);
      damage = error.message;
    }
  }
}

std::uint64_t Spool::room(std::uint64_t max_bytes) {
  const auto journal = journal_room(max_bytes);
  return max_bytes <= journal ? 0 : (max_bytes - journal) / 100 * 97;
}
std::uint64_t Spool::batch_bytes(std::uint64_t max_bytes) {
  return journal_pages(max_bytes) * kSpoolPage;
}
std::size_t Spool::batch_count(std::uint64_t max_bytes) {
  return journal_pages(max_bytes);
}

const std::string& Spool::uuid() const {
  return impl_->uuid_;
}
std::uint64_t Spool::run() const {
  return impl_->run_;
}
const std::string& Spool::set_aside() const {
  return impl_->set_aside_;
}
std::optional<std::chrono::microseconds> Spool::sync_time() const {
  return impl_->sync_time_;
}
std::uint64_t Spool::bytes_on_disk() const {
  return trunkline::bytes_on_disk(impl_->options_.directory);
}
Spool::Depth Spool::depth() const {
  Depth out{impl_->index_.messages(), impl_->index_.bytes(), 0, 0};
  for (const auto& [id, dead] : impl_->dead_) {
    out.dead_letters += dead.messages;
    out.dead_letter_bytes += dead.bytes;
  }
  return out;
}

template <class F>
auto Spool::guarded(F&& act) const -> Result<decltype(std::declval<F&>()())> {
  try {
    return act();
  } catch (const SQLite::Exception& e) {
    impl_->reset_statements();
    auto error = from_sqlite(e, "spool");
    // SQLite says "disk I/O error" for a read-only file system, too.
    if (error.code == ErrorCode::unavailable) {
      if (const auto why = why_no_write(impl_->options_.directory); !why.empty()) error.message += ": " + why;
    }
    if (error.code == ErrorCode::corrupt) mark_damaged(impl_->options_.directory);
    return fail(std::move(error));
  }
}

Result<Spool::Committed> Spool::commit(const SpoolBatch& batch, const Moment& now) {
  return guarded([&] { return impl_->commit(batch, now); });
}

Result<std::vector<MessagePtr>> Spool::read(const DeviceId& device, Position after, std::size_t limit,
                                            std::size_t max_bytes) {
  return guarded([&] { return impl_->read(device, after, limit, max_bytes); });
}

bool Spool::has_after(const DeviceId& device, Position after) const {
  const auto* found = impl_->index_.find(device);
  return found != nullptr && !found->rows.empty() && found->rows.back().position > after.value;
}

std::vector<Position> Spool::oldest(const DeviceId& device, std::uint64_t bytes, std::uint64_t count) const {
  std::vector<Position> out;
  const auto* found = impl_->index_.find(device);
  if (found == nullptr) return out;
  std::uint64_t freed = 0;
  for (const auto& row : found->rows) {
    if (freed >= bytes && out.size() >= count) break;
    freed += row.footprint;
    out.push_back({row.position});
  }
  return out;
}

std::vector<Removal> Spool::expired(const std::function<Milliseconds(const DeviceId&)>& max_age, SteadyTime now,
                                    std::size_t limit) const {
  std::vector<Removal> out;
  const auto age = impl_->clock_.age(now);
  for (const auto& [id, device] : impl_->index_.devices()) {
    if (device.rows.empty()) continue;
    const auto most = max_age(id);
    if (most <= Milliseconds(0)) continue;
    for (const auto& row : device.rows) {
      if (out.size() >= limit) return out;
      if (impl_->marks_.came(row.position) > age - most) break;
      out.push_back({id, {row.position}, Drop::expired});
    }
  }
  return out;
}

std::optional<Milliseconds> Spool::oldest_age(SteadyTime now) const {
  const auto oldest = impl_->index_.oldest();
  if (oldest == 0) return std::nullopt;
  return std::max(Milliseconds(0), impl_->clock_.age(now) - impl_->marks_.came(oldest));
}

Result<bool> Spool::leave(const Moment& now) {
  return guarded([&] {
    impl_->leave(now);
    return true;
  });
}

std::vector<Spool::DeviceDepth> Spool::devices() const {
  std::vector<DeviceDepth> out;
  for (const auto& [id, device] : impl_->index_.devices()) {
    DeviceDepth depth{id, device.rows.size(), device.bytes, 0, 0};
    if (const auto dead = impl_->dead_.find(id); dead != impl_->dead_.end()) {
      depth.dead_letters = dead->second.messages;
      depth.dead_letter_bytes = dead->second.bytes;
    }
    if (depth.messages + depth.dead_letters > 0) out.push_back(std::move(depth));
  }
  return out;
}

Result<std::vector<CommandRecord>> Spool::commands() const {
  return guarded([&] { return CommandRecords::all(impl_->db_); });
}
Result<std::vector<DeadLetter>> Spool::dead_letters(const DeadLetterQuery& query) const {
  return guarded([&] { return DeadLetters::find(impl_->db_, query); });
}
Result<Books> Spool::books() const {
  return guarded([&] { return impl_->books(); });
}

}  // namespace trunkline
