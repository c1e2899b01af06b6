// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/store.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "gateway/base/log.h"

namespace trunkline {
namespace {

// What a note takes of the journal, roughly.
std::uint64_t cost_of(const Note& note) {
  constexpr std::uint64_t kSmall = 256;
  if (const auto* taken = std::get_if<TakenCommand>(&note)) return kSmall + taken->kept.footprint();
  if (const auto* twin = std::get_if<TwinCopy>(&note)) return kSmall + twin->desired.size();
  return kSmall;
}

// How often ages are looked at; a message may stay so much longer than its limit.
constexpr Milliseconds kExpireEvery{1000};

std::uint64_t count(std::int64_t value) {
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

}  // namespace

// What the next commit writes, within the journal's room.
struct Store::Chunk {
  std::vector<SpoolArrival> arrivals;
  std::vector<Queue*> queues;           // of the arrivals
  std::vector<Settlement> settlements;  // of them `from_queue` are the front of settlements_
  std::size_t from_queue = 0;
  std::vector<Removal> removals;  // of them `from_removals` are the front of removals_
  std::size_t from_removals = 0;
  std::size_t notes = 0;  // taken from the front of records_
  std::size_t turns = 0;  // taken from the front of hurried_
  std::uint64_t bytes = 0;
  std::uint64_t max_bytes = 0;
  std::size_t max_count = 0;
  bool synced = false;
  std::unordered_set<DeviceId> roomed;  // drop_oldest has been looked at

  [[nodiscard]] std::size_t count() const { return settlements.size() + removals.size(); }
  [[nodiscard]] bool empty() const { return arrivals.empty() && settlements.empty() && removals.empty() && notes == 0; }
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

void Store::expire(const Moment& now) {
  if (now.steady < expire_at_ || !removals_.empty() || !fault_.empty()) return;
  const auto limit = Spool::batch_count(options_.max_bytes);
  const auto old =
      spool_.expired([this](const DeviceId& device) { return capacity_.policy(device).max_age; }, now.steady, limit);
  expire_at_ = old.size() < limit ? now.steady + kExpireEvery : now.steady;
  removals_.insert(removals_.end(), old.begin(), old.end());
}

bool Store::add(Chunk& chunk, Queue& queue, Position position) {
  auto* held = find(queue, position);
  if (held == nullptr || held->written || held->accepted || held->chosen) return true;
  const auto footprint = held->arrival.message->footprint();
  const auto cost = held->verdict ? 2 * footprint : footprint;
  if (!chunk.takes(cost) || chunk.count() + 1 > chunk.max_count) return false;
  held->chosen = true;
  chunk.bytes += cost;
  chunk.arrivals.push_back({held->arrival.message, held->arrival.replaces});
  chunk.queues.push_back(&queue);
  chunk.synced = chunk.synced || held->arrival.synced;
  if (held->verdict) chunk.settlements.push_back({held->arrival.message, *held->verdict});
  if (held->arrival.drops_oldest) make_room(chunk, queue.device);
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
  std::unordered_set<const Queue*> blocked;
  std::erase_if(passing_, [&](const Turn& turn) {
    auto* held = find(*turn.queue, turn.position);
    if (held == nullptr || held->accepted || !held->arrival.passing) return true;
    if (blocked.contains(turn.queue) || !capacity_.settle_in(turn.queue->device, held->arrival.message->footprint())) {
      blocked.insert(turn.queue);
      return false;
    }
    held->arrival.passing = false;
    hurry(*turn.queue, turn.position);
    return true;
  });
  const auto first = [this] { return find(*later_.front().queue, later_.front().position); };
  while (!later_.empty() && first() == nullptr) later_.pop_front();
  const bool all = everything || held_bytes_ > options_.held_bytes;
  while (!later_.empty() && (all || later_.front().due <= now)) {
    if (auto* held = first()) line_up(*later_.front().queue, *held);
    later_.pop_front();
  }
}

void Store::fill(Chunk& chunk, SteadyTime now, bool everything) {
  for (const auto& turn : hurried_) {
    if (!add(chunk, *turn.queue, turn.position)) break;
    ++chunk.turns;
  }
  for (const auto& request : records_) {
    const auto cost = cost_of(request.note);
    if (!chunk.takes(cost)) break;
    chunk.bytes += cost;
    ++chunk.notes;
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
  std::vector<Note> notes;
  notes.reserve(chunk.notes);
  for (std::size_t i = 0; i < chunk.notes; ++i) notes.push_back(records_[i].note);
  const bool books = now.steady >= flush_at_;
  const auto done = spool_.commit({chunk.arrivals,
                                   chunk.settlements,
                                   notes,
                                   chunk.removals,
                                   {},
                                   books ? &booked_ : nullptr,
                                   chunk.synced || (!notes.empty() && options_.synced)},
                                  now);
  if (!done) {
    for (std::size_t i = 0; i < chunk.arrivals.size(); ++i) {
      if (auto* held = find(*chunk.queues[i], chunk.arrivals[i].message->position)) held->chosen = false;
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
  committed(chunk, *done, now.steady);
  return true;
}

void Store::committed(const Chunk& chunk, const Spool::Committed& done, SteadyTime now) {
  commits_.add();
  written_.add(chunk.arrivals.size());
  dead_lettered_.add(count(done.booked.dead_lettered));
  expired_.add(count(done.booked.expired));
  dropped_oldest_.add(count(done.booked.dropped_oldest));
  capacity_.give_back(done.freed);
  for (const auto& freed : done.freed) outflow_.add(freed.bytes, now);
  removed_.insert(removed_.end(), done.removed.begin(), done.removed.end());
  const auto drop_front = [](auto& queue, std::size_t number) {
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(number));
  };
  drop_front(settlements_, chunk.from_queue);
  if (settlements_.empty()) settle_at_ = kNever;
  drop_front(removals_, chunk.from_removals);
  drop_front(hurried_, chunk.turns);
  for (std::size_t i = 0; i < chunk.arrivals.size(); ++i) {
    const auto& arrival = chunk.arrivals[i];
    if (arrival.replaces) requeued_.erase(arrival.replaces->value);
    if (auto* held = find(*chunk.queues[i], arrival.message->position)) held->written = true;
  }
  for (auto* queue : chunk.queues) answer(*queue);
  for (std::size_t i = 0; i < chunk.notes; ++i) {
    auto request = std::move(records_.front());
    records_.pop_front();
    if (request.done) request.done(Recorded{true});
  }
}

bool Store::commit_all(const Moment& now, bool everything) {
  choose(now.steady, everything);
  for (;;) {
    Chunk chunk;
    chunk.max_bytes = Spool::batch_bytes(options_.max_bytes);
    chunk.max_count = Spool::batch_count(options_.max_bytes);
    fill(chunk, now.steady, everything);
    if (chunk.empty() && now.steady < flush_at_) {
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

}  // namespace trunkline
