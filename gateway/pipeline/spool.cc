// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/pipeline/spool_row.h"

namespace trunkline {
namespace {

constexpr int kSchema = 1;
// The hub keeps a command for two days at most (hub-amqp-protocol.md 6.3); an hour more for clocks.
constexpr Milliseconds kCommandMemory = std::chrono::hours(49);

constexpr const char* kTables = R"(
CREATE TABLE meta(uuid TEXT NOT NULL, run INTEGER NOT NULL);
CREATE TABLE device(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE message(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, received INTEGER NOT NULL, source INTEGER NOT NULL,
  footprint INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE dead_letter(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, received INTEGER NOT NULL, source INTEGER NOT NULL,
  footprint INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL,
  outcome TEXT NOT NULL, condition TEXT NOT NULL, description TEXT NOT NULL, settled INTEGER NOT NULL);
CREATE TABLE command(device INTEGER NOT NULL, sequence INTEGER NOT NULL, enqueued INTEGER NOT NULL, message_id TEXT NOT NULL,
  kind INTEGER NOT NULL, condition TEXT NOT NULL, description TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(device, sequence, enqueued, message_id)) WITHOUT ROWID;
)";

constexpr std::uint64_t kPage = 4096;

// The journal is copied back once it has so many pages; one transaction may still pass that, so thrice as much is kept
// free.
std::uint64_t journal_pages(std::uint64_t max_bytes) {
  return std::clamp<std::uint64_t>(max_bytes / 16 / kPage, 16, 1000);
}

Error from_sqlite(const SQLite::Exception& e, const std::string& what) {
  ErrorCode code = ErrorCode::internal;
  switch (e.getErrorCode()) {
    case SQLITE_FULL:
      code = ErrorCode::exhausted;
      break;
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      code = ErrorCode::unavailable;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      code = ErrorCode::corrupt;
      break;
    default:
      break;
  }
  return Error{code, what + ": " + e.what()};
}

// flock() on a file beside the database: held for the life of the process, released by the kernel whatever happens.
class InstanceLock {
 public:
  static Result<InstanceLock> take(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fail(ErrorCode::denied, path + ": " + errno_text(errno));
    InstanceLock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorCode::exists,
                  path + ": another trunkline uses this spool; stop it first (systemctl status trunkline)");
    }
    return lock;
  }
  InstanceLock(InstanceLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  InstanceLock& operator=(InstanceLock&&) = delete;
  ~InstanceLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace

class Spool::Impl {
 public:
  struct Slot {
    std::uint64_t position;
    std::uint64_t footprint;
  };
  struct Device {
    std::int64_t number;
    std::deque<Slot> rows;
  };

  Impl(InstanceLock lock, const std::string& path)
      : lock_(std::move(lock)), db_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 2000) {}

  void start(const Options& options) {
    // One process, one connection: no shared-memory index is needed, and none is left behind by a crash.
    db_.exec("PRAGMA locking_mode=EXCLUSIVE");
    db_.exec("PRAGMA auto_vacuum=INCREMENTAL");
    const std::string mode = db_.execAndGet("PRAGMA journal_mode=WAL").getString();
    if (mode != "wal")
      throw SQLite::Exception("this file system refuses SQLite's WAL mode (got " + mode + ")", SQLITE_IOERR);
    const auto journal = journal_pages(options.max_bytes);
    db_.exec("PRAGMA wal_autocheckpoint=" + std::to_string(journal));
    db_.exec("PRAGMA journal_size_limit=" + std::to_string(journal * kPage));
    db_.exec("PRAGMA synchronous=FULL");
    const int schema = db_.execAndGet("PRAGMA user_version").getInt();
    if (schema > kSchema) {
      throw SQLite::Exception("written by a newer version of trunkline (schema " + std::to_string(schema) +
                                  ", this one knows " + std::to_string(kSchema) + "); install that version again",
                              SQLITE_CORRUPT);
    }
    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    if (schema == 0) {
      db_.exec(kTables);
      SQLite::Statement insert(db_, "INSERT INTO meta(uuid, run) VALUES(?, 0)");
      insert.bind(1, hex_encode(random_bytes(16)));
      insert.exec();
      db_.exec("PRAGMA user_version=" + std::to_string(kSchema));
    }
    db_.exec("UPDATE meta SET run = run + 1");
    transaction.commit();
    SQLite::Statement meta(db_, "SELECT uuid, run FROM meta");
    meta.executeStep();
    uuid_ = meta.getColumn(0).getString();
    run_ = static_cast<std::uint64_t>(meta.getColumn(1).getInt64());
    load();
    if (!options.synced) db_.exec("PRAGMA synchronous=NORMAL");
    insert_.emplace(db_,
                    "INSERT INTO message(id, device, received, source, footprint, head, body) VALUES(?,?,?,?,?,?,?)");
    erase_.emplace(db_, "DELETE FROM message WHERE id = ?");
    select_.emplace(db_, "SELECT received, source, head, body FROM message WHERE id = ?");
    bury_.emplace(
        db_,
        "INSERT INTO dead_letter(id, device, received, source, footprint, head, body, outcome, condition, description, "
        "settled) VALUES(?,?,?,?,?,?,?,?,?,?,?)");
    record_.emplace(
        db_,
        "INSERT OR REPLACE INTO command(device, sequence, enqueued, message_id, kind, condition, description, at) "
        "VALUES(?,?,?,?,?,?,?,?)");
  }

  Device& device(const DeviceId& id) {
    if (const auto found = devices_.find(id); found != devices_.end()) return found->second;
    SQLite::Statement insert(db_, "INSERT OR IGNORE INTO device(name) VALUES(?)");
    insert.bind(1, id.text());
    insert.exec();
    SQLite::Statement select(db_, "SELECT id FROM device WHERE name = ?");
    select.bind(1, id.text());
    select.executeStep();
    return devices_.emplace(id, Device{select.getColumn(0).getInt64(), {}}).first->second;
  }

  void commit(const SpoolBatch& batch, WallTime now) {
    // Numbers of new devices first, in a transaction of their own: they stay valid whatever becomes of the rest.
    for (const auto& message : batch.arrivals) device(message->telemetry.device);
    for (const auto& settlement : batch.settlements) device(settlement.message->telemetry.device);
    for (const auto& command : batch.commands) device(command.device);

    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const auto& message : batch.arrivals) write_row(*insert_, *message);
    std::uint64_t buried = 0;
    std::uint64_t buried_bytes = 0;
    for (const auto& settlement : batch.settlements) {
      if (settlement.outcome.kind != Outcome::Kind::accepted) {
        bury_->bind(8, std::string(to_string(settlement.outcome.kind)));
        bury_->bind(9, settlement.outcome.condition);
        bury_->bind(10, settlement.outcome.description);
        bury_->bind(11, static_cast<std::int64_t>(now.time_since_epoch().count()));
        write_row(*bury_, *settlement.message);
        ++buried;
        buried_bytes += settlement.message->footprint();
      }
      erase_->bind(1, static_cast<std::int64_t>(settlement.message->position.value));
      erase_->exec();
      erase_->reset();
    }
    for (const auto& command : batch.commands) {
      record_->bind(1, device(command.device).number);
      record_->bind(2, static_cast<std::int64_t>(command.sequence));
      record_->bind(3, static_cast<std::int64_t>(command.enqueued.time_since_epoch().count()));
      record_->bind(4, command.id);
      record_->bind(5, static_cast<int>(command.outcome.kind));
      record_->bind(6, command.outcome.condition);
      record_->bind(7, command.outcome.description);
      record_->bind(8, static_cast<std::int64_t>(command.at.time_since_epoch().count()));
      record_->exec();
      record_->reset();
    }
    transaction.commit();

    for (const auto& message : batch.arrivals) {
      const auto footprint = message->footprint();
      device(message->telemetry.device).rows.push_back({message->position.value, footprint});
      ++depth_.messages;
      depth_.bytes += footprint;
    }
    for (const auto& settlement : batch.settlements) forget(*settlement.message);
    depth_.dead_letters += buried;
    depth_.dead_letter_bytes += buried_bytes;
  }

  std::vector<MessagePtr> read(const DeviceId& id, Position after, std::size_t limit, std::size_t max_bytes) {
    std::vector<MessagePtr> out;
    const auto found = devices_.find(id);
    if (found == devices_.end()) return out;
    std::size_t bytes = 0;
    for (auto row = behind(found->second, after); row != found->second.rows.end() && out.size() < limit; ++row) {
      if (!out.empty() && bytes + row->footprint > max_bytes) break;
      bytes += row->footprint;
      select_->bind(1, static_cast<std::int64_t>(row->position));
      if (!select_->executeStep()) {
        select_->reset();
        throw SQLite::Exception("row " + std::to_string(row->position) + " is missing", SQLITE_CORRUPT);
      }
      auto message = read_row(id, *select_, {row->position});
      select_->reset();
      if (!message) throw SQLite::Exception("row " + std::to_string(row->position) + " is unreadable", SQLITE_CORRUPT);
      out.push_back(std::move(message));
    }
    return out;
  }

  [[nodiscard]] bool has_after(const DeviceId& id, Position after) const {
    const auto found = devices_.find(id);
    return found != devices_.end() && !found->second.rows.empty() && found->second.rows.back().position > after.value;
  }

  [[nodiscard]] std::vector<CommandRecord> commands() const {
    std::vector<CommandRecord> out;
    SQLite::Statement select(
        db_,
        "SELECT d.name, c.sequence, c.enqueued, c.message_id, c.kind, c.condition, c.description, c.at FROM command c "
        "JOIN device d ON d.id = c.device");
    while (select.executeStep()) {
      auto id = DeviceId::parse(select.getColumn(0).getString());
      if (!id) continue;
      CommandRecord record{*id, static_cast<std::uint64_t>(select.getColumn(1).getInt64()), {}, {}, {}, {}};
      record.enqueued = WallTime(Milliseconds(select.getColumn(2).getInt64()));
      record.id = select.getColumn(3).getString();
      record.outcome.kind = static_cast<Outcome::Kind>(select.getColumn(4).getInt());
      record.outcome.condition = select.getColumn(5).getString();
      record.outcome.description = select.getColumn(6).getString();
      record.at = WallTime(Milliseconds(select.getColumn(7).getInt64()));
      out.push_back(std::move(record));
    }
    return out;
  }

  // Old command records go when the spool opens; a clock that jumped back only keeps them longer.
  void prune_commands(WallTime now) {
    SQLite::Statement prune(db_, "DELETE FROM command WHERE at < ?");
    prune.bind(1, static_cast<std::int64_t>((now - kCommandMemory).time_since_epoch().count()));
    prune.exec();
  }

  void reset_statements() noexcept {
    for (auto* statement : {&insert_, &erase_, &select_, &bury_, &record_}) {
      if (*statement) (*statement)->tryReset();
    }
  }

  std::string uuid_;
  std::uint64_t run_ = 0;
  Depth depth_;
  std::unordered_map<DeviceId, Device> devices_;

 private:
  void load() {
    std::unordered_map<std::int64_t, Device*> by_number;
    SQLite::Statement names(db_, "SELECT id, name FROM device");
    while (names.executeStep()) {
      auto id = DeviceId::parse(names.getColumn(1).getString());
      if (!id) throw SQLite::Exception("a device name is invalid", SQLITE_CORRUPT);
      const auto number = names.getColumn(0).getInt64();
      by_number[number] = &devices_.emplace(*id, Device{number, {}}).first->second;
    }
    SQLite::Statement rows(db_, "SELECT id, device, footprint FROM message ORDER BY id");
    while (rows.executeStep()) {
      const auto owner = by_number.find(rows.getColumn(1).getInt64());
      if (owner == by_number.end()) throw SQLite::Exception("a message belongs to no device", SQLITE_CORRUPT);
      const Slot slot{static_cast<std::uint64_t>(rows.getColumn(0).getInt64()),
                      static_cast<std::uint64_t>(rows.getColumn(2).getInt64())};
      owner->second->rows.push_back(slot);
      ++depth_.messages;
      depth_.bytes += slot.footprint;
    }
    SQLite::Statement buried(db_, "SELECT count(*), coalesce(sum(footprint), 0) FROM dead_letter");
    buried.executeStep();
    depth_.dead_letters = static_cast<std::uint64_t>(buried.getColumn(0).getInt64());
    depth_.dead_letter_bytes = static_cast<std::uint64_t>(buried.getColumn(1).getInt64());
  }

  void write_row(SQLite::Statement& statement, const Message& message) {
    const auto head = encode_head(message.telemetry);
    statement.bind(1, static_cast<std::int64_t>(message.position.value));
    statement.bind(2, devices_.at(message.telemetry.device).number);
    statement.bind(3, static_cast<std::int64_t>(message.received.time_since_epoch().count()));
    statement.bind(4, static_cast<int>(message.telemetry.source));
    statement.bind(5, static_cast<std::int64_t>(message.footprint()));
    statement.bindNoCopy(6, head.data(), static_cast<int>(head.size()));
    statement.bindNoCopy(7, message.telemetry.body.data(), static_cast<int>(message.telemetry.body.size()));
    statement.exec();
    statement.reset();
  }

  static MessagePtr read_row(const DeviceId& id, SQLite::Statement& row, Position position) {
    auto telemetry = decode_head(id, {static_cast<const char*>(row.getColumn(2).getBlob()),
                                      static_cast<std::size_t>(row.getColumn(2).getBytes())});
    if (!telemetry) return nullptr;
    telemetry->source = static_cast<Source>(row.getColumn(1).getInt());
    telemetry->body.assign(static_cast<const char*>(row.getColumn(3).getBlob()),
                           static_cast<std::size_t>(row.getColumn(3).getBytes()));
    return std::make_shared<Message>(
        Message{position, WallTime(Milliseconds(row.getColumn(0).getInt64())), std::move(*telemetry)});
  }

  static std::deque<Slot>::iterator behind(Device& device, Position after) {
    return std::upper_bound(device.rows.begin(), device.rows.end(), after.value,
                            [](std::uint64_t position, const Slot& slot) { return position < slot.position; });
  }

  void forget(const Message& message) {
    auto& rows = devices_.at(message.telemetry.device).rows;
    const auto row =
        std::lower_bound(rows.begin(), rows.end(), message.position.value,
                         [](const Slot& slot, std::uint64_t position) { return slot.position < position; });
    if (row == rows.end() || row->position != message.position.value) return;
    --depth_.messages;
    depth_.bytes -= row->footprint;
    rows.erase(row);
  }

  InstanceLock lock_;
  SQLite::Database db_;
  std::optional<SQLite::Statement> insert_, erase_, select_, bury_, record_;
};

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spool::~Spool() = default;

Result<std::unique_ptr<Spool>> Spool::open(const Options& options) {
  std::error_code made;
  if (std::filesystem::create_directories(options.directory, made)) ::chmod(options.directory.c_str(), 0700);
  if (made) return fail(ErrorCode::denied, options.directory + ": " + made.message());
  const auto path = options.directory + "/spool.db";
  auto lock = InstanceLock::take(options.directory + "/spool.lock");
  if (!lock) return fail(lock.error());
  const auto mask = ::umask(0077);
  try {
    auto impl = std::make_unique<Impl>(std::move(*lock), path);
    impl->start(options);
    impl->prune_commands(SystemClock().wall());
    ::umask(mask);
    return std::unique_ptr<Spool>(new Spool(std::move(impl)));
  } catch (const SQLite::Exception& e) {
    ::umask(mask);
    return fail(from_sqlite(e, path));
  }
}

std::uint64_t Spool::room(std::uint64_t max_bytes) {
  const auto journal = 4 * journal_pages(max_bytes) * kPage;
  return max_bytes <= journal ? 0 : (max_bytes - journal) / 100 * 97;
}

const std::string& Spool::uuid() const {
  return impl_->uuid_;
}
std::uint64_t Spool::run() const {
  return impl_->run_;
}
Spool::Depth Spool::depth() const {
  return impl_->depth_;
}

Result<void> Spool::commit(const SpoolBatch& batch, WallTime now) {
  try {
    impl_->commit(batch, now);
    return {};
  } catch (const SQLite::Exception& e) {
    impl_->reset_statements();
    return fail(from_sqlite(e, "spool"));
  }
}

Result<std::vector<MessagePtr>> Spool::read(const DeviceId& device, Position after, std::size_t limit,
                                            std::size_t max_bytes) {
  try {
    return impl_->read(device, after, limit, max_bytes);
  } catch (const SQLite::Exception& e) {
    impl_->reset_statements();
    return fail(from_sqlite(e, "spool"));
  }
}

bool Spool::has_after(const DeviceId& device, Position after) const {
  return impl_->has_after(device, after);
}

std::vector<Spool::DeviceDepth> Spool::devices() const {
  std::vector<DeviceDepth> out;
  for (const auto& [id, device] : impl_->devices_) {
    if (!device.rows.empty()) out.push_back({id, device.rows.size()});
  }
  return out;
}

Result<std::vector<CommandRecord>> Spool::commands() const {
  try {
    return impl_->commands();
  } catch (const SQLite::Exception& e) {
    return fail(from_sqlite(e, "spool"));
  }
}

}  // namespace trunkline
