// SPDX-License-Identifier: Apache-2.0
// What the operator asks the store, and dead letters on his orders; store.cc decides what is safe.
#include <algorithm>
#include <span>
#include <utility>

#include "gateway/pipeline/store.h"

namespace trunkline {

Store::Status Store::status(SteadyTime now) {
  return {spool_.depth(),     pending_,           spool_.devices(),        fault_,
          spool_.set_aside(), spool_.sync_time(), inflow_.per_second(now), outflow_.per_second(now)};
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
    capacity_.give_back(done->freed);
    purged += done->freed.size();
  }
  purged_.add(purged);
  return purged;
}

}  // namespace trunkline
