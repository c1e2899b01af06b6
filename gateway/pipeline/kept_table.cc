// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/kept_table.h"

#include <sqlite3.h>

#include <string_view>

#include "gateway/pipeline/blob_text.h"

namespace trunkline {
namespace {

constexpr char kVersion = 1;
constexpr std::uint64_t kPage = 4096;

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch().count();
}

// Everything that has no column of its own: correlation id, content type, name and value of each property.
std::string encode_head(const Command& command) {
  std::string out(1, kVersion);
  put_text(out, command.correlation_id);
  put_text(out, command.content_type);
  for (const auto& property : command.properties) {
    put_text(out, property.name);
    put_text(out, property.value);
  }
  return out;
}

bool decode_head(std::string_view blob, Command& command) {
  if (blob.empty() || blob.front() != kVersion) return false;
  blob.remove_prefix(1);
  if (!get_text(blob, command.correlation_id) || !get_text(blob, command.content_type)) return false;
  while (!blob.empty()) {
    Property property;
    if (!get_text(blob, property.name) || !get_text(blob, property.value)) return false;
    command.properties.push_back(std::move(property));
  }
  return true;
}

// A row beyond a quarter of a page may leave the rest of it unused, and a large one fills pages of its own.
std::uint64_t row_bytes(std::uint64_t content) {
  return content <= kPage / 4 ? 2 * content : (content / kPage + 2) * kPage;
}

std::string_view blob_of(const SQLite::Column& column) {
  return {static_cast<const char*>(column.getBlob()), static_cast<std::size_t>(column.getBytes())};
}

}  // namespace

std::uint64_t KeptCommand::footprint() const {
  std::uint64_t bytes =
      80 + command.body.size() + command.id.size() + command.correlation_id.size() + command.content_type.size();
  for (const auto& property : command.properties) bytes += property.name.size() + property.value.size() + 8;
  return row_bytes(bytes);
}

std::uint64_t TwinCopy::footprint() const {
  return row_bytes(40 + desired.size());
}

KeptTable::KeptTable(SQLite::Database& db)
    : db_(db),
      take_(db,
            "INSERT INTO kept_command(id, device, sequence, enqueued, message_id, expires, head, body) "
            "VALUES(?,?,?,?,?,?,?,?)"),
      end_(db, "DELETE FROM kept_command WHERE id = ? AND device = ?"),
      book_(db,
            "INSERT INTO command_book(device, taken, delivered, expired, failed) VALUES(?1,?2,?3,?4,?5) "
            "ON CONFLICT(device) DO UPDATE SET taken = taken + ?2, delivered = delivered + ?3, expired = expired + ?4, "
            "failed = failed + ?5"),
      twin_(db, "INSERT OR REPLACE INTO twin(device, version, desired) VALUES(?,?,?)") {}

void KeptTable::reset() noexcept {
  for (auto* statement : {&take_, &end_, &book_, &twin_}) statement->tryReset();
}

void KeptTable::take(const KeptCommand& kept, std::int64_t device) {
  const auto& command = kept.command;
  const auto head = encode_head(command);
  take_.bind(1, static_cast<std::int64_t>(kept.number));
  take_.bind(2, device);
  take_.bind(3, static_cast<std::int64_t>(command.sequence));
  if (command.enqueued) {
    take_.bind(4, milliseconds(*command.enqueued));
  } else {
    take_.bind(4);
  }
  take_.bind(5, command.id);
  take_.bind(6, milliseconds(command.expires.value_or(WallTime{})));
  take_.bind(7, head.data(), static_cast<int>(head.size()));
  take_.bind(8, command.body.data(), static_cast<int>(command.body.size()));
  take_.exec();
  take_.reset();
  book_.bind(1, device);
  for (int column = 2; column <= 5; ++column) book_.bind(column, column == 2 ? 1 : 0);
  book_.exec();
  book_.reset();
}

void KeptTable::end(const EndedCommand& ended, std::int64_t device) {
  end_.bind(1, static_cast<std::int64_t>(ended.number));
  end_.bind(2, device);
  const auto gone = end_.exec();
  end_.reset();
  if (gone == 0) return;
  book_.bind(1, device);
  book_.bind(2, 0);
  book_.bind(3, ended.fate == EndedCommand::Fate::delivered ? 1 : 0);
  book_.bind(4, ended.fate == EndedCommand::Fate::expired ? 1 : 0);
  book_.bind(5, ended.fate == EndedCommand::Fate::failed ? 1 : 0);
  book_.exec();
  book_.reset();
}

void KeptTable::write(const TwinCopy& twin, std::int64_t device) {
  twin_.bind(1, device);
  twin_.bind(2, twin.version);
  twin_.bind(3, twin.desired);
  twin_.exec();
  twin_.reset();
}

std::vector<KeptCommand> KeptTable::commands(SQLite::Database& db) {
  std::vector<KeptCommand> out;
  SQLite::Statement select(
      db,
      "SELECT d.name, k.id, k.sequence, k.enqueued, k.message_id, k.expires, k.head, k.body FROM kept_command k "
      "JOIN device d ON d.id = k.device ORDER BY k.id");
  while (select.executeStep()) {
    auto device = DeviceId::parse(select.getColumn(0).getString());
    if (!device) throw SQLite::Exception("a device name is invalid", SQLITE_CORRUPT);
    KeptCommand kept{static_cast<std::uint64_t>(select.getColumn(1).getInt64()), Command{std::move(*device)}};
    auto& command = kept.command;
    command.sequence = static_cast<std::uint64_t>(select.getColumn(2).getInt64());
    if (!select.getColumn(3).isNull()) command.enqueued = WallTime(Milliseconds(select.getColumn(3).getInt64()));
    command.id = select.getColumn(4).getString();
    command.expires = WallTime(Milliseconds(select.getColumn(5).getInt64()));
    if (!decode_head(blob_of(select.getColumn(6)), command)) {
      throw SQLite::Exception("a command that is kept cannot be read", SQLITE_CORRUPT);
    }
    command.body = blob_of(select.getColumn(7));
    out.push_back(std::move(kept));
  }
  return out;
}

std::vector<TwinCopy> KeptTable::twins(SQLite::Database& db) {
  std::vector<TwinCopy> out;
  SQLite::Statement select(db, "SELECT d.name, t.version, t.desired FROM twin t JOIN device d ON d.id = t.device");
  while (select.executeStep()) {
    auto device = DeviceId::parse(select.getColumn(0).getString());
    if (!device) throw SQLite::Exception("a device name is invalid", SQLITE_CORRUPT);
    out.push_back({std::move(*device), select.getColumn(1).getInt64(), select.getColumn(2).getString()});
  }
  return out;
}

std::map<std::string, CommandBook> KeptTable::books(SQLite::Database& db) {
  std::map<std::string, CommandBook> out;
  const auto number = [](const SQLite::Column& column) { return static_cast<std::uint64_t>(column.getInt64()); };
  SQLite::Statement books(db,
                          "SELECT d.name, b.taken, b.delivered, b.expired, b.failed FROM command_book b "
                          "JOIN device d ON d.id = b.device");
  while (books.executeStep()) {
    out[books.getColumn(0).getString()] = {number(books.getColumn(1)), number(books.getColumn(2)),
                                           number(books.getColumn(3)), number(books.getColumn(4)), 0};
  }
  SQLite::Statement waiting(
      db, "SELECT d.name, count(*) FROM kept_command k JOIN device d ON d.id = k.device GROUP BY k.device");
  while (waiting.executeStep()) out[waiting.getColumn(0).getString()].waiting = number(waiting.getColumn(1));
  return out;
}

}  // namespace trunkline
