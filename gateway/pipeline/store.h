// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/base/metrics.h"
#include "gateway/core/message.h"
#include "gateway/core/outcome.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/byte_rate.h"
#include "gateway/pipeline/capacity.h"
#include "gateway/pipeline/questions.h"
#include "gateway/pipeline/spool.h"

namespace trunkline {

// A message that was offered and whose device waits for the answer.
struct Arrival {
  MessagePtr message{};
  Completion<Admission> done{};
  bool waits = true;                   // its sender can do nothing before the answer: spool.commit_delay does not apply
  bool synced = true;                  // durability = "power"
  bool drops_oldest = false;           // on_full
  bool passing = false;                // the spool is full: it waits in memory until the hub takes it, or room comes
  std::optional<Position> replaces{};  // the dead letter that it was
};
// The source said `of` again.
struct Repeat {
  DeviceId device;
  Position of;
  Completion<Admission> done;
};
// A message of this device was dropped at the door (on_full = "drop_newest").
struct Dropped {
  DeviceId device;
};
// The multiplexer wants messages of a device behind `after`.
struct ReadRequest {
  DeviceSlot slot;
  DeviceId device;
  Position after;
  std::size_t limit = 0;
  std::size_t max_bytes = 0;
};
struct ReadAnswer {
  DeviceSlot slot;
  std::vector<MessagePtr> messages;  // in order
  bool more = false;                 // there are further ones behind the last
  bool failed = false;               // the disk did not answer; ask again later
};
// Something to be made durable, such as an outcome before it goes up (C-01).
struct RecordRequest {
  Note note;
  Completion<struct Recorded> done{};  // owed to nobody if empty
};
struct Recorded {
  bool durable = false;
  static Recorded abandoned() { return {}; }
};
using StoreItem = std::variant<Arrival, Settlement, ReadRequest, RecordRequest, Repeat, Dropped>;

// Decides what is safe: takes arrivals and settlements in their order, writes what must be written in commits of
// bounded size, and answers. A message that the hub accepted before its turn to be written is never written
// (architecture.md 3); `commit_delay` puts that turn off, except for senders that wait. Keeps the operator's limits and
// the books. Pure logic over a Spool: no thread, no clock. Owned and called by the store thread.
//
// While a commit fails nothing is acknowledged but what the hub took, and nothing is forgotten: arrivals and
// settlements wait here for the next `process`, and reads are answered from file and waiting arrivals together.
class Store {
 public:
  struct Options {
    Milliseconds commit_delay{0};
    Milliseconds ledger_flush{10'000};
    std::uint64_t max_bytes = 1ULL << 30;       // the spool's; bounds one commit
    bool synced = true;                         // for what is no message: notes
    std::size_t held_bytes = 16 * 1024 * 1024;  // more than this does not wait for commit_delay
  };
  Store(Spool& spool, Capacity& capacity, Metrics& metrics, Options options);

  struct Result {
    std::vector<ReadAnswer> reads;
    std::vector<Removal> removed;  // by a limit: nobody shall send them any more; to be heeded before `reads`
    bool failed = false;           // the commit did not go through: process again after a while
    bool damaged = false;          // the file is; the next opening sets it aside
    SteadyTime again = kNever;     // when to process again without a new item
  };
  // Takes the items (moved from), commits, completes.
  Result process(std::vector<StoreItem>& items, const Moment& now);
  // Books what is only in memory; for an orderly stop.
  void flush(const Moment& now);

  struct Status {
    Spool::Depth depth;
    std::uint64_t pending = 0;  // offered, not yet safe
    std::vector<Spool::DeviceDepth> devices;
    std::string fault;      // why the last commit failed, empty if it did not
    std::string set_aside;  // where a damaged file was put at start, empty if none was
    std::optional<std::chrono::microseconds> sync_time;
    double inflow = 0;  // bytes a second that came in lately, and that left because they were settled
    double outflow = 0;
  };
  [[nodiscard]] Status status(SteadyTime now);
  // With what is booked in memory only.
  [[nodiscard]] ::trunkline::Result<Books> books(WallTime now) const;
  // What the operator's questions are answered from, for one question; `readmit` is intake's.
  Kept kept(const Moment& now, std::function<void(const DeadLetter&)> readmit);

 private:
  // An arrival that is not safe yet.
  struct Held {
    Arrival arrival;
    std::vector<Completion<Admission>> repeats;
    std::optional<Outcome> verdict;  // the hub's, before it was written; rejected, or modified for good
    bool accepted = false;
    bool written = false;
    bool hurried = false;  // in hurried_
    bool chosen = false;   // in the chunk that is being made
  };
  // Of one device; stays where it is once it is made.
  struct Queue {
    DeviceId device;
    LazyQueue<Held> held{};  // ascending by position
  };
  struct Turn {
    SteadyTime due;  // of later_
    Queue* queue;
    Position position;
  };
  struct Chunk;

  void take(Arrival arrival, SteadyTime now);
  void take(Settlement settlement, SteadyTime now);
  void take(Repeat repeat, SteadyTime now);
  Queue& queue(const DeviceId& device) {
    const auto found = queues_.find(device);
    return found != queues_.end() ? found->second : queues_.emplace(device, Queue{device}).first->second;
  }
  void hurry(Queue& queue, Position through);
  void line_up(Queue& queue, Held& held);
  static Held* find(Queue& queue, Position position);
  Held* find(const DeviceId& device, Position position);
  void choose(SteadyTime now, bool everything);
  void fill(Chunk& chunk, SteadyTime now, bool everything);
  bool add(Chunk& chunk, Queue& queue, Position position);
  void make_room(Chunk& chunk, const DeviceId& device);
  void committed(const Chunk& chunk, const Spool::Committed& done, SteadyTime now);
  bool commit(Chunk& chunk, const Moment& now);
  bool commit_all(const Moment& now, bool everything = false);
  void answer(Queue& queue);
  void book(const DeviceId& device, const Tally& tally, SteadyTime now);
  void expire(const Moment& now);
  void fail(const Error& error);
  [[nodiscard]] SteadyTime next(SteadyTime now) const;
  ReadAnswer read(const ReadRequest& request);
  SpoolSummary summary(SteadyTime now);
  ::trunkline::Result<std::uint64_t> purge(const std::vector<DeadLetter>& letters, const Moment& now);

  Spool& spool_;
  Capacity& capacity_;
  const Options options_;
  std::unordered_map<DeviceId, Queue> queues_;
  std::deque<Turn> hurried_;  // to be written with the next commit, in this order
  std::deque<Turn> later_;    // ascending by due
  std::deque<Turn> passing_;  // waiting for the hub, or for room
  std::uint64_t pending_ = 0;
  std::size_t held_bytes_ = 0;
  std::deque<Settlement> settlements_;  // of written messages
  SteadyTime settle_at_ = kNever;
  std::deque<RecordRequest> records_;
  std::deque<Removal> removals_;
  std::vector<Removal> removed_;                // not told yet
  std::unordered_set<std::uint64_t> requeued_;  // dead letters whose new message is not written yet
  ByteRate inflow_;
  ByteRate outflow_;
  Tallies booked_;  // without a row
  SteadyTime flush_at_ = kNever;
  SteadyTime expire_at_{};
  std::string fault_;
  bool damaged_ = false;
  Metric& commits_;
  Metric& commit_failures_;
  Metric& written_;
  Metric& never_written_;
  Metric& dead_lettered_;
  Metric& expired_;
  Metric& dropped_newest_;
  Metric& dropped_oldest_;
  Metric& purged_;
};

}  // namespace trunkline
