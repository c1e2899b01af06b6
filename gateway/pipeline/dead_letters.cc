// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/dead_letters.h"

#include <sqlite3.h>

#include <charconv>

#include "gateway/pipeline/spool_row.h"

namespace trunkline {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch().count();
}

}  // namespace

DeadLetters::DeadLetters(SQLite::Database& db)
    : bury_(db,
            "INSERT INTO dead_letter(id, device, received, source, footprint, head, body, outcome, condition, "
            "description, settled) VALUES(?,?,?,?,?,?,?,?,?,?,?)"),
      weigh_(db, "SELECT device, footprint FROM dead_letter WHERE id = ?"),
      remove_(db, "DELETE FROM dead_letter WHERE id = ?") {}

void DeadLetters::bury(const Message& message, std::int64_t device, const Outcome& outcome, WallTime now) {
  bind_message(bury_, message, device);
  bury_.bind(8, std::string(to_string(outcome.kind)));
  bury_.bind(9, outcome.condition);
  bury_.bind(10, outcome.description);
  bury_.bind(11, milliseconds(now));
  bury_.exec();
  bury_.reset();
}

std::optional<DeadLetters::Removed> DeadLetters::remove(Position position) {
  weigh_.bind(1, static_cast<std::int64_t>(position.value));
  std::optional<Removed> found;
  if (weigh_.executeStep()) {
    found = Removed{weigh_.getColumn(0).getInt64(), static_cast<std::uint64_t>(weigh_.getColumn(1).getInt64())};
  }
  weigh_.reset();
  if (!found) return std::nullopt;
  remove_.bind(1, static_cast<std::int64_t>(position.value));
  remove_.exec();
  remove_.reset();
  return found;
}

void DeadLetters::reset() noexcept {
  for (auto* statement : {&bury_, &weigh_, &remove_}) statement->tryReset();
}

std::vector<DeadLetter> DeadLetters::find(SQLite::Database& db, const DeadLetterQuery& query) {
  std::string text =
      "SELECT l.id, d.name, l.received, l.settled, l.outcome, l.condition, l.description, l.footprint, l.source, "
      "l.head, l.body FROM dead_letter l JOIN device d ON d.id = l.device WHERE l.id > ?1";
  if (query.only) text += " AND l.id = ?2";
  if (query.device) text += " AND d.name = ?3";
  text += " ORDER BY l.id LIMIT ?4";
  SQLite::Statement select(db, text);
  select.bind(1, static_cast<std::int64_t>(query.after.value));
  if (query.only) select.bind(2, static_cast<std::int64_t>(query.only->value));
  if (query.device) select.bind(3, query.device->text());
  select.bind(4, static_cast<std::int64_t>(query.limit));
  std::vector<DeadLetter> out;
  while (select.executeStep()) {
    auto id = DeviceId::parse(select.getColumn(1).getString());
    if (!id) throw SQLite::Exception("a device name is invalid", SQLITE_CORRUPT);
    DeadLetter letter{
        {static_cast<std::uint64_t>(select.getColumn(0).getInt64())}, std::move(*id), {}, {}, {}, {}, {}, 0, {}};
    letter.received = WallTime(Milliseconds(select.getColumn(2).getInt64()));
    letter.settled = WallTime(Milliseconds(select.getColumn(3).getInt64()));
    letter.outcome = select.getColumn(4).getString();
    letter.condition = select.getColumn(5).getString();
    letter.description = select.getColumn(6).getString();
    letter.footprint = static_cast<std::uint64_t>(select.getColumn(7).getInt64());
    if (query.with_telemetry) letter.telemetry = read_telemetry(letter.device, select, 8);
    out.push_back(std::move(letter));
  }
  return out;
}

std::string dead_letter_name(Position position) {
  return std::to_string(position.run()) + "-" + std::to_string(position.sequence());
}

std::optional<Position> parse_dead_letter_name(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto run = number(text.substr(0, dash));
  const auto sequence = number(text.substr(dash + 1));
  if (!run || !sequence || *run >= 1ULL << 23 || *sequence >= 1ULL << Position::kSequenceBits) return std::nullopt;
  return Position::make(*run, *sequence);
}

}  // namespace trunkline
