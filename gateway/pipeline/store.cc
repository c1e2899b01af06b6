// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/store.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <unordered_set>
#include <utility>

#include "gateway/base/log.h"

namespace trunkline {
namespace {

// How often ages are looked at; a message may stay so much longer than its limit.
constexpr Milliseconds kExpireEvery{1000};

std::uint64_t count(std::int64_t value) {
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

}  // namespace

// What the next commit writes, within the journal's room.
struct Store::Chunk {
  std::vector<SpoolArrival> arrivals;
  std::vector<Settlement> settlements;  // of them `from_queue` are the front of settlements_
  std::size_t from_queue = 0;
  std::vector<Removal> removals;  // of them `from_removals` are the front of removals_
  std::size_t from_removals = 0;
  std::size_t turns = 0;  // taken from the front of hurried_
  std::uint64_t bytes = 0;
  std::uint64_t max_bytes = 0;
  std::size_t max_count = 0;
  bool synced = false;
  std::unordered_set<DeviceId> roomed;  // drop_oldest has been looked at

  [[nodiscard]] std::size_t count() const { return settlements.size() + removals.size(); }
  [[nodiscard]] bool empty() const { return arrivals.empty() && settlements.empty() && removals.empty(); }
  [[nodiscard]] bool takes(std::uint64_t more) const { return bytes == 0 || bytes + more <= max_bytes; }
};

Store::Store(Spool& spool, Capacity& capacity, Metrics& metrics, Options options)
    : spool_(spool),
      capacity_(capacity),
      options_(options),
      commits_(metrics.metric("spool_commits_total", "Transactions committed to the spool")),
      commit_failures_(metrics.metric("spool_commit_failures_total", "Transactions that the disk refused")),
      written_(metrics.metric("spool_written_total", "Messages written to the spool")),
      never_written_(
          metrics.metric("spool_never_written_total", "Messages accepted by the hub before their turn to be written")),
      dead_lettered_(metrics.metric("dead_lettered_total", "Messages moved to the dead letters")),
      expired_(metrics.metric("dropped_total", "Messages dropped by a limit or by the operator", "reason=\"expired\"")),
      dropped_newest_(
          metrics.metric("dropped_total", "Messages dropped by a limit or by the operator", "reason=\"drop_newest\"")),
      dropped_oldest_(
          metrics.metric("dropped_total", "Messages dropped by a limit or by the operator", "reason=\"drop_oldest\"")),
      purged_(metrics.metric("dropped_total", "Messages dropped by a limit or by the operator", "reason=\"purged\"")) {}

Store::Result Store::process(std::vector<StoreItem>& items, const Moment& now) {
  Result result;
  std::vector<ReadRequest> reads;
  for (auto& item : items) {
    if (auto* arrival = std::get_if<Arrival>(&item)) {
      take(std::move(*arrival), now.steady);
    } else if (auto* settlement = std::get_if<Settlement>(&item)) {
      take(std::move(*settlement), now.steady);
    } else if (auto* request = std::get_if<ReadRequest>(&item)) {
      reads.push_back(std::move(*request));
    } else if (auto* record = std::get_if<RecordRequest>(&item)) {
      records_.push_back(std::move(*record));
    } else if (auto* repeat = std::get_if<Repeat>(&item)) {
      take(std::move(*repeat), now.steady);
    } else {
      Tally tally;
      tally.received = 1;
      tally.drop(Drop::newest);
      dropped_newest_.add();
      book(std::get<Dropped>(item).device, tally, now.steady);
    }
  }
  items.clear();
  expire(now);
  result.failed = !commit_all(now);
  result.damaged = damaged_;
  result.removed = std::exchange(removed_, {});
  for (const auto& request : reads) result.reads.push_back(read(request));
  result.again = next(now.steady);
  return result;
}

void Store::take(Arrival arrival, SteadyTime now) {
  const auto device = arrival.message->telemetry.device;
  const auto position = arrival.message->position;
  const bool hurries = arrival.waits || arrival.replaces || options_.commit_delay <= Milliseconds(0);
  const bool passing = arrival.passing;
  ++pending_;
  held_bytes_ += arrival.message->footprint();
  inflow_.add(arrival.message->footprint(), now);
  queues_[device].held.push_back({std::move(arrival), {}, {}});
  if (passing) {
    passing_.push_back({now, device, position});
  } else if (hurries) {
    hurry(device, position);
  } else {
    later_.push_back({now + options_.commit_delay, device, position});
  }
}

// Whoever waits needs everything older of its device to be safe, too (D-01).
void Store::hurry(const DeviceId& device, Position through) {
  if (options_.commit_delay > Milliseconds(0)) {
    for (auto& held : queues_[device].held) {
      if (held.arrival.message->position >= through) break;
      line_up(held);
    }
  }
  if (auto* held = find(device, through)) line_up(*held);
}

void Store::line_up(Held& held) {
  if (held.hurried || held.arrival.passing) return;
  held.hurried = true;
  hurried_.push_back({{}, held.arrival.message->telemetry.device, held.arrival.message->position});
}

Store::Held* Store::find(const DeviceId& device, Position position) {
  const auto queue = queues_.find(device);
  if (queue == queues_.end()) return nullptr;
  auto& all = queue->second.held;
  const auto held = std::lower_bound(all.begin(), all.end(), position, [](const Held& one, Position value) {
    return one.arrival.message->position < value;
  });
  return held == all.end() || held->arrival.message->position != position ? nullptr : &*held;
}

void Store::take(Settlement settlement, SteadyTime now) {
  const auto& device = settlement.message->telemetry.device;
  const auto position = settlement.message->position;
  auto* held = find(device, position);
  if (held == nullptr || held->written) {
    settlements_.push_back(std::move(settlement));
    if (settle_at_ == kNever) settle_at_ = now + options_.commit_delay;
    return;
  }
  if (settlement.outcome.kind != Outcome::Kind::accepted || held->arrival.replaces) {
    // To the dead letters in the commit that writes it (D-01); and what was a dead letter must leave them in one.
    held->verdict = std::move(settlement.outcome);
    if (std::exchange(held->arrival.passing, false)) {
      const auto footprint = held->arrival.message->footprint();
      capacity_.give_back_passing(device, footprint);
      capacity_.occupy(device, footprint);
    }
    hurry(device, position);
    return;
  }
  held->accepted = true;
  // With nothing to write before it, it is safe at once, disk or no disk.
  Tally tally;
  tally.received = tally.accepted = 1;
  never_written_.add();
  book(device, tally, now);
  answer(device);
}

void Store::take(Repeat repeat, SteadyTime now) {
  Tally tally;
  tally.duplicates = 1;
  book(repeat.device, tally, now);
  if (auto* held = find(repeat.device, repeat.of)) {
    held->repeats.push_back(std::move(repeat.done));
  } else {
    repeat.done(Admission::duplicate());
  }
}

// Tells the devices what is safe, oldest first: an acknowledgement vouches for everything older (D-01).
void Store::answer(const DeviceId& device) {
  auto& held = queues_.at(device).held;
  while (!held.empty() && (held.front().accepted || held.front().written)) {
    auto done = std::move(held.front());
    held.pop_front();
    --pending_;
    const auto footprint = done.arrival.message->footprint();
    held_bytes_ -= footprint;
    if (done.accepted) {
      if (done.arrival.passing) {
        capacity_.give_back_passing(device, footprint);
      } else {
        capacity_.give_back(device, footprint);
      }
    }
    if (done.arrival.done) done.arrival.done(Admission::safe());
    for (auto& repeat : done.repeats) repeat(Admission::duplicate());
  }
}

void Store::book(const DeviceId& device, const Tally& tally, SteadyTime now) {
  booked_[device] += tally;
  if (flush_at_ == kNever) flush_at_ = now + options_.ledger_flush;
}

void Store::expire(const Moment& now) {
  if (now.steady < expire_at_ || !removals_.empty() || !fault_.empty()) return;
  const auto limit = Spool::batch_count(options_.max_bytes);
  const auto old =
      spool_.expired([this](const DeviceId& device) { return capacity_.policy(device).max_age; }, now.steady, limit);
  expire_at_ = old.size() < limit ? now.steady + kExpireEvery : now.steady;
  removals_.insert(removals_.end(), old.begin(), old.end());
}

bool Store::add(Chunk& chunk, const DeviceId& device, Position position) {
  auto* held = find(device, position);
  if (held == nullptr || held->written || held->accepted || held->chosen) return true;
  const auto footprint = held->arrival.message->footprint();
  const auto cost = held->verdict ? 2 * footprint : footprint;
  if (!chunk.takes(cost) || chunk.count() + 1 > chunk.max_count) return false;
  held->chosen = true;
  chunk.bytes += cost;
  chunk.arrivals.push_back({held->arrival.message, held->arrival.replaces});
  chunk.synced = chunk.synced || held->arrival.synced;
  if (held->verdict) chunk.settlements.push_back({held->arrival.message, *held->verdict});
  if (held->arrival.drops_oldest) make_room(chunk, device);
  return true;
}

// drop_oldest: the rows at the front of this device's queue go in the same commit that brings the new ones.
void Store::make_room(Chunk& chunk, const DeviceId& device) {
  if (!chunk.roomed.insert(device).second) return;
  const auto excess = capacity_.excess(device);
  if (excess.bytes == 0 && excess.messages == 0) return;
  for (const auto position : spool_.oldest(device, excess.bytes, excess.messages)) {
    if (chunk.count() >= chunk.max_count) break;
    chunk.removals.push_back({device, position, Drop::oldest});
  }
}

// Whose turn to be written has come.
void Store::choose(SteadyTime now, bool everything) {
  std::unordered_set<DeviceId> blocked;
  std::erase_if(passing_, [&](const Turn& turn) {
    auto* held = find(turn.device, turn.position);
    if (held == nullptr || held->accepted || !held->arrival.passing) return true;
    if (blocked.contains(turn.device) || !capacity_.settle_in(turn.device, held->arrival.message->footprint())) {
      blocked.insert(turn.device);
      return false;
    }
    held->arrival.passing = false;
    hurry(turn.device, turn.position);
    return true;
  });
  while (!later_.empty() && find(later_.front().device, later_.front().position) == nullptr) later_.pop_front();
  const bool all = everything || held_bytes_ > options_.held_bytes;
  while (!later_.empty() && (all || later_.front().due <= now)) {
    if (auto* held = find(later_.front().device, later_.front().position)) line_up(*held);
    later_.pop_front();
  }
}

void Store::fill(Chunk& chunk, SteadyTime now, bool everything) {
  for (const auto& turn : hurried_) {
    if (!add(chunk, turn.device, turn.position)) break;
    ++chunk.turns;
  }
  // Deletions wait for a commit that happens anyway, if commit_delay lets them: a crash only means that they are sent
  // again.
  if (everything || now >= settle_at_ || !chunk.arrivals.empty() || settlements_.size() >= chunk.max_count) {
    for (const auto& settlement : settlements_) {
      const bool dies = settlement.outcome.kind != Outcome::Kind::accepted;
      const auto cost = dies ? settlement.message->footprint() : 0;
      if (chunk.count() >= chunk.max_count || !chunk.takes(cost)) break;
      chunk.bytes += cost;
      chunk.settlements.push_back(settlement);
      ++chunk.from_queue;
    }
  }
  for (const auto& removal : removals_) {
    if (chunk.count() >= chunk.max_count) break;
    chunk.removals.push_back(removal);
    ++chunk.from_removals;
  }
}

bool Store::commit(Chunk& chunk, const Moment& now) {
  std::vector<CommandRecord> commands;
  commands.reserve(records_.size());
  for (const auto& request : records_) commands.push_back(request.record);
  const bool books = now.steady >= flush_at_;
  const auto done = spool_.commit({chunk.arrivals,
                                   chunk.settlements,
                                   commands,
                                   chunk.removals,
                                   {},
                                   books ? &booked_ : nullptr,
                                   chunk.synced || (!commands.empty() && options_.synced)},
                                  now);
  if (!done) {
    for (const auto& arrival : chunk.arrivals) {
      if (auto* held = find(arrival.message->telemetry.device, arrival.message->position)) held->chosen = false;
    }
    fail(done.error());
    return false;
  }
  if (!fault_.empty()) {
    log::info("spool_commit_recovered", {{"pending", pending_}});
    fault_.clear();
  }
  if (books) {
    booked_.clear();
    flush_at_ = kNever;
  }
  committed(chunk, *done);
  return true;
}

void Store::committed(const Chunk& chunk, const Spool::Committed& done) {
  commits_.add();
  written_.add(chunk.arrivals.size());
  dead_lettered_.add(count(done.booked.dead_lettered));
  expired_.add(count(done.booked.expired));
  dropped_oldest_.add(count(done.booked.dropped_oldest));
  for (const auto& freed : done.freed) capacity_.give_back(freed.device, freed.footprint);
  removed_.insert(removed_.end(), done.removed.begin(), done.removed.end());
  const auto drop_front = [](auto& queue, std::size_t number) {
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(number));
  };
  drop_front(settlements_, chunk.from_queue);
  if (settlements_.empty()) settle_at_ = kNever;
  drop_front(removals_, chunk.from_removals);
  drop_front(hurried_, chunk.turns);
  for (const auto& arrival : chunk.arrivals) {
    if (arrival.replaces) requeued_.erase(arrival.replaces->value);
    if (auto* held = find(arrival.message->telemetry.device, arrival.message->position)) held->written = true;
  }
  for (const auto& arrival : chunk.arrivals) answer(arrival.message->telemetry.device);
  for (auto& request : std::exchange(records_, {})) request.done(Recorded{true});
}

bool Store::commit_all(const Moment& now, bool everything) {
  choose(now.steady, everything);
  for (;;) {
    Chunk chunk;
    chunk.max_bytes = Spool::batch_bytes(options_.max_bytes);
    chunk.max_count = Spool::batch_count(options_.max_bytes);
    fill(chunk, now.steady, everything);
    if (chunk.empty() && records_.empty() && now.steady < flush_at_) {
      hurried_.erase(hurried_.begin(), hurried_.begin() + static_cast<std::ptrdiff_t>(chunk.turns));
      return true;
    }
    if (!commit(chunk, now)) return false;
  }
}

void Store::fail(const Error& error) {
  commit_failures_.add();
  damaged_ = damaged_ || error.code == ErrorCode::corrupt;
  if (fault_ != error.message) {
    log::error(
        "spool_commit_failed",
        {{"error", error.message}, {"pending", pending_}, {"do", "nothing is acknowledged until the disk works"}});
  }
  fault_ = error.message;
}

void Store::flush(const Moment& now) {
  if (!booked_.empty()) flush_at_ = now.steady;
  if (!commit_all(now, true)) return;
  if (const auto left = spool_.leave(now); !left)
    log::warning("spool_left_uncleanly", {{"error", left.error().message}});
}

SteadyTime Store::next(SteadyTime now) const {
  auto out = std::min(flush_at_, settlements_.empty() ? kNever : settle_at_);
  if (!later_.empty()) out = std::min(out, later_.front().due);
  if (spool_.depth().messages > 0) out = std::min(out, expire_at_);
  return std::max(out, now);
}

ReadAnswer Store::read(const ReadRequest& request) {
  ReadAnswer answer;
  answer.slot = request.slot;
  auto rows = spool_.read(request.device, request.after, request.limit, request.max_bytes);
  if (!rows) {
    log::error("spool_read_failed", {{"device", request.device.text()}, {"error", rows.error().message}});
    damaged_ = damaged_ || rows.error().code == ErrorCode::corrupt;
    answer.failed = true;
    answer.more = true;
    return answer;
  }
  answer.messages = std::move(*rows);
  const auto last = answer.messages.empty() ? request.after : answer.messages.back()->position;
  answer.more = spool_.has_after(request.device, last);
  const auto queue = queues_.find(request.device);
  if (answer.more || queue == queues_.end()) return answer;
  // Arrivals that are not written yet are behind every row of their device.
  for (const auto& held : queue->second.held) {
    if (held.arrival.message->position <= last || held.accepted) continue;
    if (answer.messages.size() >= request.limit) {
      answer.more = true;
      break;
    }
    answer.messages.push_back(held.arrival.message);
  }
  return answer;
}

Store::Status Store::status() const {
  return {spool_.depth(), pending_, spool_.devices(), fault_, spool_.set_aside(), spool_.sync_time()};
}

::trunkline::Result<Books> Store::books(WallTime now) const {
  auto books = spool_.books();
  if (books) books->book(day_of(now), booked_);
  return books;
}

Kept Store::kept(const Moment& now, std::function<void(const DeadLetter&)> readmit) {
  Kept out;
  out.books = [this, now] { return books(now.wall); };
  out.summary = [this, now] { return summary(now.steady); };
  out.dead_letters = [this](const DeadLetterQuery& query) { return spool_.dead_letters(query); };
  out.requeue = [this, readmit = std::move(readmit)](
                    const std::vector<DeadLetter>& letters) -> ::trunkline::Result<std::uint64_t> {
    std::uint64_t done = 0;
    for (const auto& letter : letters) {
      // Asked for twice, it still goes only once.
      if (!letter.telemetry || !requeued_.insert(letter.position.value).second) continue;
      readmit(letter);
      ++done;
    }
    return done;
  };
  out.purge = [this, now](const std::vector<DeadLetter>& letters) { return purge(letters, now); };
  return out;
}

SpoolSummary Store::summary(SteadyTime now) {
  const auto depth = spool_.depth();
  SpoolSummary out;
  out.waiting = depth.messages;
  out.waiting_bytes = depth.bytes;
  out.dead_letters = depth.dead_letters;
  out.dead_letter_bytes = depth.dead_letter_bytes;
  out.cap_bytes = options_.max_bytes;
  out.room_bytes = capacity_.max_bytes();
  out.disk_bytes = spool_.bytes_on_disk();
  out.oldest_age = spool_.oldest_age(now);
  out.sync_time = spool_.sync_time();
  out.inflow = inflow_.per_second(now);
  out.fault = fault_;
  out.set_aside = spool_.set_aside();
  return out;
}

::trunkline::Result<std::uint64_t> Store::purge(const std::vector<DeadLetter>& letters, const Moment& now) {
  std::vector<Position> positions;
  for (const auto& letter : letters) {
    if (!requeued_.contains(letter.position.value)) positions.push_back(letter.position);
  }
  std::uint64_t purged = 0;
  const auto most = Spool::batch_count(options_.max_bytes);
  for (std::size_t at = 0; at < positions.size(); at += most) {
    const std::span part(positions.data() + at, std::min(most, positions.size() - at));
    const auto done = spool_.commit({{}, {}, {}, {}, part, nullptr, options_.synced}, now);
    if (!done) return trunkline::fail(done.error());
    for (const auto& freed : done->freed) capacity_.give_back(freed.device, freed.footprint);
    purged += done->freed.size();
  }
  purged_.add(purged);
  return purged;
}

}  // namespace trunkline
