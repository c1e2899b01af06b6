// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_impl.h"

#include <sqlite3.h>

#include <algorithm>

#include "gateway/pipeline/spool_schema.h"

namespace trunkline {
namespace {

constexpr std::size_t kRemembered = 100'000;
// Before this no wall clock is right, and a booking goes to the last day that there was.
constexpr WallTime kFirstDay{std::chrono::sys_days{std::chrono::year{2025} / 1 / 1}.time_since_epoch()};

const DeviceId& device_of(const Note& note) {
  if (const auto* taken = std::get_if<TakenCommand>(&note)) return taken->record.device;
  if (const auto* ended = std::get_if<EndedCommand>(&note)) return ended->device;
  if (const auto* twin = std::get_if<TwinCopy>(&note)) return twin->device;
  return std::get<CommandRecord>(note).device;
}

}  // namespace

Spool::Impl::Impl(const Options& options)
    : options_(options), db_(spool_path(options.directory), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 2000) {
  prepare();
  SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
  migrate_spool(db_);
  db_.exec("UPDATE meta SET run = run + 1");
  MessageTable::unpack(db_);
  CommandRecords::prune(db_, options.now.wall);
  Ledger::fold(db_, std::max<std::uint64_t>(options.max_bytes / 100 / 64, 100));
  transaction.commit();
  messages_.emplace(db_, pack_room(options.max_bytes));
  ages_.emplace(db_, options.age_step);
  ledger_.emplace(db_);
  dead_letters_.emplace(db_);
  records_.emplace(db_, std::clamp<std::uint64_t>(options.max_bytes / 64 / 160, 100, 100'000));
  kept_.emplace(db_);
  load();
}

void Spool::Impl::prepare() {
  // One process, one connection: no shared-memory index is needed, and none is left behind by a crash.
  db_.exec("PRAGMA locking_mode=EXCLUSIVE");
  db_.exec("PRAGMA auto_vacuum=INCREMENTAL");
  const std::string mode = db_.execAndGet("PRAGMA journal_mode=WAL").getString();
  if (mode != "wal")
    throw SQLite::Exception("this file system refuses SQLite's WAL mode (got " + mode + ")", SQLITE_IOERR);
  const auto journal = journal_pages(options_.max_bytes);
  db_.exec("PRAGMA wal_autocheckpoint=" + std::to_string(journal));
  db_.exec("PRAGMA journal_size_limit=" + std::to_string(journal * kSpoolPage));
  db_.exec("PRAGMA synchronous=FULL");
  spool_schema(db_);
  // The last fence of D-06; what limits messages stands well before it.
  const auto room = options_.max_bytes - std::min(options_.max_bytes, journal_room(options_.max_bytes));
  db_.exec("PRAGMA max_page_count=" + std::to_string(std::max<std::uint64_t>(room / kSpoolPage, 64)));
}

Spool::Committed Spool::Impl::commit(const SpoolBatch& batch, const Moment& now) {
  Work work;
  number_devices(batch, work);
  set_synced(batch.synced);
  if (batch.booked != nullptr) {
    for (const auto& [id, tally] : *batch.booked) work.tallies[device(id).number] += tally;
  }
  messages_->begin();

  SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
  arrive(batch, work);
  for (std::size_t i = 0; i < batch.settlements.size(); ++i) settle(batch.settlements[i], *work.settled[i], now, work);
  for (const auto& note : batch.notes) write(note);
  for (const auto& removal : batch.removals) {
    auto& owner = device(removal.device);
    if (!messages_->erase(removal.device, owner, removal.position.value)) continue;
    work.out.removed.push_back(removal);
    work.tallies[owner.number].drop(removal.why);
  }
  messages_->finish();
  for (const auto position : batch.purged) purge(position, work);
  const auto day = now.wall >= kFirstDay ? day_of(now.wall) : last_day_;
  ledger_->book(day, work.tallies);
  std::uint64_t newest = 0;
  for (const auto& arrival : batch.arrivals) newest = std::max(newest, arrival.message->position.value);
  ages_->note(newest, index(), now);
  transaction.commit();

  last_day_ = day;
  committed(batch, work);
  return std::move(work.out);
}

void Spool::Impl::arrive(const SpoolBatch& batch, Work& work) {
  // Those that are settled by the very commit that brings them.
  std::unordered_set<std::uint64_t> at_once;
  if (!batch.arrivals.empty()) {
    for (std::size_t i = 0; i < batch.settlements.size(); ++i) {
      const auto position = batch.settlements[i].message->position.value;
      if (SpoolIndex::find(*work.settled[i], position) == nullptr) at_once.insert(position);
    }
  }
  for (std::size_t i = 0; i < batch.arrivals.size(); ++i) {
    const auto& [message, replaces] = batch.arrivals[i];
    const auto& id = message->telemetry.device;
    auto& owner = *work.arriving[i];
    bool requeued = false;
    if (replaces) {
      if (const auto was = dead_letters_->remove(*replaces)) {
        requeued = true;
        work.died.emplace_back(id, -static_cast<std::int64_t>(was->footprint));
      }
    }
    messages_->write(message, owner, at_once.contains(message->position.value));
    auto& tally = work.tallies[owner.number];
    ++(requeued ? tally.requeued : tally.received);
  }
}

void Spool::Impl::settle(const Settlement& settlement, SpoolIndex::Device& owner, const Moment& now, Work& work) {
  const auto& [message, outcome] = settlement;
  const auto& id = message->telemetry.device;
  const auto position = message->position.value;
  const bool accepted = outcome.kind == Outcome::Kind::accepted;
  auto& tally = work.tallies[owner.number];
  if (messages_->erase(id, owner, position)) {
    if (accepted) {
      ++tally.accepted;
    } else {
      // A message that dies keeps its room: it stays on the disk.
      work.stay.insert(position);
      dead_letters_->bury(*message, owner.number, outcome, now.wall);
      work.died.emplace_back(id, static_cast<std::int64_t>(message->footprint()));
      ++tally.dead_lettered;
    }
  } else if (const auto dropped = dropped_.find(position);
             accepted && dropped != dropped_.end() && work.corrected.insert(position).second) {
    // It was on its way when a limit took it; the hub has it, so it was not lost.
    ++tally.accepted;
    tally.drop(dropped->second, -1);
  }
}

void Spool::Impl::write(const Note& note) {
  const auto number = device(device_of(note)).number;
  if (const auto* record = std::get_if<CommandRecord>(&note)) {
    records_->write(*record, number);
  } else if (const auto* taken = std::get_if<TakenCommand>(&note)) {
    kept_->take(taken->kept, number);
    records_->write(taken->record, number);
  } else if (const auto* ended = std::get_if<EndedCommand>(&note)) {
    kept_->end(*ended, number);
  } else {
    kept_->write(std::get<TwinCopy>(note), number);
  }
}

void Spool::Impl::purge(Position position, Work& work) {
  const auto was = dead_letters_->remove(position);
  if (!was) return;
  work.died.emplace_back(names_.at(was->device), -static_cast<std::int64_t>(was->footprint));
  work.tallies[was->device].drop(Drop::purged);
}

void Spool::Impl::committed(const SpoolBatch& batch, Work& work) {
  ledger_->committed();
  work.out.freed.reserve(batch.settlements.size() + batch.removals.size());
  messages_->committed([&work](const DeviceId& id, std::uint64_t position, std::uint64_t footprint) {
    if (work.stay.empty() || !work.stay.contains(position)) work.out.freed.push_back({id, footprint});
  });
  ages_->committed(index());
  for (const auto& [id, bytes] : work.died) {
    auto& dead = dead_[id];
    dead.messages += bytes > 0 ? 1 : static_cast<std::uint64_t>(-1);
    dead.bytes += static_cast<std::uint64_t>(bytes);
    if (bytes < 0) work.out.freed.push_back({id, static_cast<std::uint64_t>(-bytes)});
  }
  for (const auto& removal : work.out.removed) remember(removal);
  for (const auto position : work.corrected) dropped_.erase(position);
  for (const auto& [number, tally] : work.tallies) work.out.booked += tally;
}

// For an orderly end: how old everything is by now.
void Spool::Impl::leave(const Moment& now) {
  SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
  ages_->leave(index(), now);
  transaction.commit();
}

void Spool::Impl::reset_statements() noexcept {
  if (messages_) messages_->reset();
  if (ages_) ages_->reset();
  if (ledger_) ledger_->reset();
  if (dead_letters_) dead_letters_->reset();
  if (records_) records_->reset();
  if (kept_) kept_->reset();
}

Books Spool::Impl::books() {
  Books out;
  for (const auto& row : Ledger::rows(db_)) out.days[row.day][names_.at(row.device).text()] = row.tally;
  for (const auto& [id, device] : index().devices()) {
    if (!device.rows.empty()) out.held[id.text()].waiting = device.rows.size();
  }
  out.commands = KeptTable::books(db_);
  SQLite::Statement dead(db_, "SELECT device, count(*) FROM dead_letter GROUP BY device");
  while (dead.executeStep()) {
    out.held[names_.at(dead.getColumn(0).getInt64()).text()].dead_lettered =
        static_cast<std::uint64_t>(dead.getColumn(1).getInt64());
  }
  return out;
}

void Spool::Impl::load() {
  SQLite::Statement meta(db_, "SELECT uuid, run FROM meta");
  if (!meta.executeStep()) throw SQLite::Exception("the table meta is empty", SQLITE_CORRUPT);
  uuid_ = meta.getColumn(0).getString();
  run_ = static_cast<std::uint64_t>(meta.getColumn(1).getInt64());
  meta.reset();
  std::unordered_map<std::int64_t, SpoolIndex::Device*> by_number;
  SQLite::Statement names(db_, "SELECT id, name FROM device");
  while (names.executeStep()) {
    auto id = DeviceId::parse(names.getColumn(1).getString());
    if (!id) throw SQLite::Exception("a device name is invalid", SQLITE_CORRUPT);
    const auto number = names.getColumn(0).getInt64();
    by_number[number] = &index().add(*id, number);
    names_.emplace(number, std::move(*id));
  }
  SQLite::Statement rows(db_, "SELECT id, device, footprint FROM message ORDER BY id");
  while (rows.executeStep()) {
    const auto owner = by_number.find(rows.getColumn(1).getInt64());
    if (owner == by_number.end()) throw SQLite::Exception("a message belongs to no device", SQLITE_CORRUPT);
    index().append(*owner->second, {static_cast<std::uint64_t>(rows.getColumn(0).getInt64()),
                                    static_cast<std::uint32_t>(rows.getColumn(2).getInt64())});
  }
  SQLite::Statement dead(db_, "SELECT device, count(*), sum(footprint) FROM dead_letter GROUP BY device");
  while (dead.executeStep()) {
    const auto owner = names_.find(dead.getColumn(0).getInt64());
    if (owner == names_.end()) throw SQLite::Exception("a dead letter belongs to no device", SQLITE_CORRUPT);
    dead_[owner->second] = {static_cast<std::uint64_t>(dead.getColumn(1).getInt64()),
                            static_cast<std::uint64_t>(dead.getColumn(2).getInt64())};
  }
  ages_->load(db_, options_.now, index().messages() > 0 ? index().newest() : 0);
  const auto booked = Ledger::rows(db_);
  if (!booked.empty()) last_day_ = booked.back().day;
}

// New devices first, in a transaction of their own: their numbers stay valid whatever becomes of the rest.
void Spool::Impl::number_devices(const SpoolBatch& batch, Work& work) {
  std::vector<const DeviceId*> fresh;
  const auto look = [&](const DeviceId& id) {
    auto* found = index().find(id);
    if (found == nullptr) fresh.push_back(&id);
    return found;
  };
  for (const auto& arrival : batch.arrivals) work.arriving.push_back(look(arrival.message->telemetry.device));
  for (const auto& settlement : batch.settlements) work.settled.push_back(look(settlement.message->telemetry.device));
  for (const auto& note : batch.notes) look(device_of(note));
  for (const auto& removal : batch.removals) look(removal.device);
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
    index().add(*id, number);
    names_.emplace(number, *id);
  }
  for (std::size_t i = 0; i < batch.arrivals.size(); ++i) {
    work.arriving[i] = index().find(batch.arrivals[i].message->telemetry.device);
  }
  for (std::size_t i = 0; i < batch.settlements.size(); ++i) {
    work.settled[i] = index().find(batch.settlements[i].message->telemetry.device);
  }
}

void Spool::Impl::set_synced(bool synced) {
  if (synced == synced_) return;
  db_.exec(synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  synced_ = synced;
}

void Spool::Impl::remember(const Removal& removal) {
  dropped_.emplace(removal.position.value, removal.why);
  dropped_order_.push_back(removal.position.value);
  if (dropped_order_.size() <= kRemembered) return;
  dropped_.erase(dropped_order_.front());
  dropped_order_.pop_front();
}

}  // namespace trunkline
