// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <tuple>
#include <utility>

#include "identity/identity_store.h"
#include "identity/seal.h"
#include "identity/sealing_key.h"

namespace trunkline::identity {
namespace {

constexpr int kSchema = 2;
constexpr int kApplication = 0x544C4944;  // "TLID"
constexpr int kBusyMilliseconds = 5000;
constexpr std::size_t kProgress = 1000;
constexpr const char* kUsageTable =
    "CREATE TABLE usage (device TEXT PRIMARY KEY, used INTEGER NOT NULL, refused INTEGER NOT NULL, refusal TEXT NOT "
    "NULL) STRICT";
constexpr std::string_view kCheckText = "trunkline identity store";

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

tl::unexpected<Error> failure(sqlite3* database, int code) {
  ErrorCode kind = ErrorCode::internal;
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
      kind = ErrorCode::unavailable;
      break;
    case SQLITE_FULL:
      kind = ErrorCode::exhausted;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      kind = ErrorCode::corrupt;
      break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      kind = ErrorCode::denied;
      break;
    default:
      break;
  }
  return fail(kind, sqlite3_errmsg(database));
}

// One prepared statement: bind in order, then step.
class Statement {
 public:
  Statement(sqlite3* database, const char* text) : database_(database) {
    code_ = sqlite3_prepare_v2(database, text, -1, &statement_, nullptr);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& text(std::string_view value) {
    return keep(sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  Statement& blob(std::string_view value) {
    return keep(sqlite3_bind_blob64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT));
  }
  Statement& number(std::int64_t value) { return keep(sqlite3_bind_int64(statement_, ++bound_, value)); }

  // True with a row, false at the end.
  Result<bool> step() {
    if (code_ == SQLITE_OK) code_ = sqlite3_step(statement_);
    const int code = std::exchange(code_, SQLITE_OK);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return failure(database_, code);
  }
  Result<void> run() {
    for (;;) {
      const auto row = step();
      if (!row) return fail(row.error());
      if (!*row) return {};
    }
  }
  void again() {
    sqlite3_reset(statement_);
    bound_ = 0;
  }

  [[nodiscard]] std::int64_t number_at(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::string_view bytes_at(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return data == nullptr ? std::string_view()
                           : std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  Statement& keep(int code) {
    if (code_ == SQLITE_OK) code_ = code;
    return *this;
  }
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
  int bound_ = 0;
};

Result<void> run(sqlite3* database, const char* text) {
  return Statement(database, text).run();
}

Result<std::int64_t> number(sqlite3* database, const char* text) {
  Statement statement(database, text);
  const auto row = statement.step();
  if (!row) return fail(row.error());
  return *row ? statement.number_at(0) : 0;
}

// Everything done by `work`, or nothing.
template <class F>
Result<void> transaction(sqlite3* database, F&& work) {
  if (auto begun = run(database, "BEGIN IMMEDIATE"); !begun) return begun;
  auto done = work();
  if (done) done = run(database, "COMMIT");
  if (!done) (void)run(database, "ROLLBACK");
  return done;
}

class SqliteIdentityStore final : public IdentityStore {
 public:
  SqliteIdentityStore(std::string file, Database database, Seal seal)
      : file_(std::move(file)), database_(std::move(database)), seal_(std::move(seal)) {}

  Result<void> add(const Identity& identity) override {
    return named(transaction(database_.get(), [&]() -> Result<void> {
      Statement known(database_.get(), "SELECT 1 FROM identity WHERE device = ?");
      const auto row = known.text(identity.device.text()).step();
      if (!row) return fail(row.error());
      if (*row) return fail(ErrorCode::exists, "device " + identity.device.text() + " has an identity already");
      return write({identity});
    }));
  }

  Result<void> put(const std::vector<Identity>& identities, const std::function<void(std::size_t)>& progress) override {
    return named(transaction(database_.get(), [&] { return write(identities, progress); }));
  }

  Result<void> note(const std::vector<Usage>& usages) override {
    return named(transaction(database_.get(), [&]() -> Result<void> {
      // Not for a device that was removed meanwhile.
      Statement statement(database_.get(),
                          "INSERT INTO usage (device, used, refused, refusal) "
                          "SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM identity WHERE device = ?1) "
                          "ON CONFLICT (device) DO UPDATE SET used = max(used, excluded.used), "
                          "refusal = CASE WHEN excluded.refused > refused THEN excluded.refusal ELSE refusal END, "
                          "refused = max(refused, excluded.refused)");
      for (const auto& usage : usages) {
        const auto done = statement.text(usage.device.text())
                              .number(usage.used.time_since_epoch().count())
                              .number(usage.refused.time_since_epoch().count())
                              .text(usage.refusal)
                              .run();
        if (!done) return done;
        statement.again();
      }
      return {};
    }));
  }

  [[nodiscard]] Result<std::vector<Usage>> usage() const override {
    std::vector<Usage> out;
    Statement statement(database_.get(), "SELECT device, used, refused, refusal FROM usage ORDER BY device");
    for (;;) {
      const auto row = statement.step();
      if (!row) return fail(row.error().in(file_));
      if (!*row) return out;
      const auto device = DeviceId::parse(statement.bytes_at(0));
      if (!device) return fail(Error{ErrorCode::corrupt, device.error().message}.in(file_));
      out.push_back({*device, WallTime(Milliseconds(statement.number_at(1))),
                     WallTime(Milliseconds(statement.number_at(2))), std::string(statement.bytes_at(3))});
    }
  }

  Result<void> remove(const DeviceId& device) override {
    return named(transaction(database_.get(), [&]() -> Result<void> {
      Statement forget(database_.get(), "DELETE FROM usage WHERE device = ?");
      if (auto done = forget.text(device.text()).run(); !done) return done;
      Statement statement(database_.get(), "DELETE FROM identity WHERE device = ?");
      return change(statement.text(device.text()), device);
    }));
  }

  Result<void> set_enabled(const DeviceId& device, bool enabled) override {
    return named(transaction(database_.get(), [&] {
      Statement statement(database_.get(), "UPDATE identity SET enabled = ?, updated = ? WHERE device = ?");
      return change(statement.number(enabled ? 1 : 0).number(now()).text(device.text()), device);
    }));
  }

  [[nodiscard]] Result<std::vector<Identity>> all() const override {
    std::vector<Identity> out;
    Statement statement(
        database_.get(),
        "SELECT device, primary_key, secondary_key, psk, enabled, updated FROM identity ORDER BY device");
    for (;;) {
      const auto row = statement.step();
      if (!row) return fail(row.error().in(file_));
      if (!*row) return out;
      const auto device = DeviceId::parse(statement.bytes_at(0));
      if (!device) return fail(Error{ErrorCode::corrupt, device.error().message}.in(file_));
      Identity identity{
          *device, {}, {}, {}, statement.number_at(4) != 0, WallTime(Milliseconds(statement.number_at(5)))};
      for (const auto& [column, name, into] :
           {std::tuple{1, "primary", &identity.primary}, std::tuple{2, "secondary", &identity.secondary},
            std::tuple{3, "psk", &identity.psk}}) {
        const auto sealed = statement.bytes_at(column);
        if (sealed.empty() && column != 1) continue;
        auto secret = seal_.open(sealed, context(*device, name));
        if (!secret) return fail(secret.error().in(file_ + ": " + device->text()));
        *into = std::move(*secret);
      }
      out.push_back(std::move(identity));
    }
  }

 private:
  // Binds a sealed key to its device and its place there.
  static std::string context(const DeviceId& device, std::string_view name) {
    return device.text() + '\n' + std::string(name);
  }
  static std::int64_t now() { return SystemClock().wall().time_since_epoch().count(); }

  [[nodiscard]] std::string sealed(const Secret& secret, const DeviceId& device, std::string_view name) const {
    return secret.empty() ? std::string() : seal_.close(secret, context(device, name));
  }

  Result<void> write(const std::vector<Identity>& identities, const std::function<void(std::size_t)>& progress = {}) {
    std::size_t written = 0;
    Statement statement(database_.get(),
                        "INSERT OR REPLACE INTO identity (device, primary_key, secondary_key, psk, enabled, updated) "
                        "VALUES (?, ?, ?, ?, ?, ?)");
    for (const auto& identity : identities) {
      if (identity.primary.empty()) {
        return fail(ErrorCode::invalid, "device " + identity.device.text() + " has no primary key");
      }
      const auto updated = identity.updated.time_since_epoch().count();
      const auto done = statement.text(identity.device.text())
                            .blob(sealed(identity.primary, identity.device, "primary"))
                            .blob(sealed(identity.secondary, identity.device, "secondary"))
                            .blob(sealed(identity.psk, identity.device, "psk"))
                            .number(identity.enabled ? 1 : 0)
                            .number(updated != 0 ? updated : now())
                            .run();
      if (!done) return done;
      statement.again();
      if (++written % kProgress == 0 && progress) progress(written);
    }
    return {};
  }

  Result<void> change(Statement& statement, const DeviceId& device) {
    if (auto done = statement.run(); !done) return done;
    if (sqlite3_changes(database_.get()) == 0) {
      return fail(ErrorCode::not_found, "device " + device.text() + " has no identity");
    }
    return {};
  }

  [[nodiscard]] Result<void> named(Result<void> result) const {
    if (result) return result;
    return fail(result.error().in(file_));
  }

  std::string file_;
  Database database_;
  Seal seal_;
};

// The file as a place for the database: made with mode 0600 if it is missing. True if it has nothing in it yet.
Result<bool> prepare_file(const std::string& file) {
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    auto adopted = adopt_folder_owner(descriptor, file);
    close(descriptor);
    if (!adopted) return fail(adopted.error());
    return true;
  }
  if (errno != EEXIST) {
    return fail(errno == EACCES ? ErrorCode::denied : ErrorCode::unavailable,
                "cannot make the identity store " + file + ": " + errno_text(errno));
  }
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) {
    return fail(ErrorCode::unavailable, "cannot read the identity store " + file + ": " + errno_text(errno));
  }
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::corrupt, "the identity store " + file + ": no regular file");
  if (auto good = check_private("the identity store", file, status.st_mode); !good) return fail(good.error());
  return status.st_size == 0;
}

Result<void> create_schema(sqlite3* database, const Seal& seal) {
  return transaction(database, [&]() -> Result<void> {
    // Another process may have been faster.
    const auto version = number(database, "PRAGMA user_version");
    if (!version) return fail(version.error());
    if (*version != 0) return {};
    for (const auto* text :
         {"CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
          "CREATE TABLE identity (device TEXT PRIMARY KEY, primary_key BLOB NOT NULL, secondary_key BLOB NOT NULL, "
          "psk BLOB NOT NULL, enabled INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT",
          kUsageTable}) {
      if (auto done = run(database, text); !done) return done;
    }
    Statement check(database, "INSERT INTO meta (name, value) VALUES ('key_check', ?)");
    if (auto done = check.blob(seal.close(Secret(std::string(kCheckText)), "key_check")).run(); !done) return done;
    const auto application = "PRAGMA application_id = " + std::to_string(kApplication);
    if (auto done = run(database, application.c_str()); !done) return done;
    const auto stamp = "PRAGMA user_version = " + std::to_string(kSchema);
    return run(database, stamp.c_str());
  });
}

// What a store of an earlier version lacks. Only after it was seen to be sound and ours.
Result<void> bring_up_to_date(sqlite3* database) {
  return transaction(database, [&]() -> Result<void> {
    const auto version = number(database, "PRAGMA user_version");
    if (!version) return fail(version.error());
    if (*version >= kSchema) return {};
    if (auto done = run(database, kUsageTable); !done) return done;
    return run(database, ("PRAGMA user_version = " + std::to_string(kSchema)).c_str());
  });
}

Result<void> check_database(sqlite3* database, const std::string& file, const Seal& seal) {
  const auto application = number(database, "PRAGMA application_id");
  if (!application) return fail(application.error().in(file));
  const auto version = number(database, "PRAGMA user_version");
  if (!version) return fail(version.error().in(file));
  if (*application != kApplication) return fail(ErrorCode::corrupt, file + ": this is no identity store");
  if (*version > kSchema) {
    return fail(ErrorCode::invalid, file + ": made by a newer trunkline (schema " + std::to_string(*version) +
                                        ", this one knows " + std::to_string(kSchema) + "); use that one");
  }
  Statement sound(database, "PRAGMA quick_check(1)");
  const auto row = sound.step();
  if (!row) return fail(row.error().in(file));
  if (sound.bytes_at(0) != "ok") return fail(ErrorCode::corrupt, file + ": damaged: " + std::string(sound.bytes_at(0)));
  Statement check(database, "SELECT value FROM meta WHERE name = 'key_check'");
  const auto found = check.step();
  if (!found) return fail(found.error().in(file));
  if (!*found) return fail(ErrorCode::corrupt, file + ": its key check is missing");
  if (!seal.open(check.bytes_at(0), "key_check")) {
    return fail(ErrorCode::denied, file + ": the sealing key does not fit this store; name the right one as key_file");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<IdentityStore>> open_store(const std::string& file, const std::string& key_file) {
  const auto place = sealing_key_place(file, key_file);
  // The key first: a store that cannot be sealed is not begun.
  struct stat status {};
  const bool fresh = stat(file.c_str(), &status) != 0 ? errno == ENOENT : status.st_size == 0;
  auto key = read_sealing_key(place);
  if (!key && key.error().code == ErrorCode::not_found && fresh) key = create_sealing_key(place.file);
  if (!key) return fail(key.error());
  const Seal seal(std::move(*key));

  const auto empty = prepare_file(file);
  if (!empty) return fail(empty.error());
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(raw);
  if (opened != SQLITE_OK) {
    if (!database) return fail(ErrorCode::exhausted, file + ": no memory for the database");
    return fail(failure(database.get(), opened).value().in(file));
  }
  sqlite3_extended_result_codes(database.get(), 1);
  sqlite3_busy_timeout(database.get(), kBusyMilliseconds);
  for (const auto* text : {"PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON", "PRAGMA temp_store = MEMORY"}) {
    if (auto done = run(database.get(), text); !done) return fail(done.error().in(file));
  }
  if (*empty) {
    if (auto done = create_schema(database.get(), seal); !done) return fail(done.error().in(file));
  }
  if (auto good = check_database(database.get(), file, seal); !good) return fail(good.error());
  if (const auto version = number(database.get(), "PRAGMA user_version"); version && *version < kSchema) {
    if (auto done = bring_up_to_date(database.get()); !done) return fail(done.error().in(file));
  }
  return std::make_unique<SqliteIdentityStore>(file, std::move(database), seal);
}

}  // namespace trunkline::identity
