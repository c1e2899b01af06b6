// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/core/message.h"
#include "gateway/core/outcome.h"
#include "gateway/pipeline/books.h"
#include "gateway/pipeline/capacity.h"
#include "gateway/pipeline/dead_letter.h"
#include "gateway/pipeline/note.h"
#include "gateway/pipeline/tally.h"

namespace trunkline {

// The verdict on one message, as the store writes it: accepted deletes the row, rejected and modified move it to the
// dead letters. (released never gets here; the multiplexer keeps such a message.)
struct Settlement {
  MessagePtr message;
  Outcome outcome;
};

// A message to be written. replaces: the dead letter that it was, when the operator requeued it; the row takes its
// place.
struct SpoolArrival {
  MessagePtr message;
  std::optional<Position> replaces{};
};
// A message that leaves without an outcome of the hub, by a limit that the operator set.
struct Removal {
  DeviceId device;
  Position position;
  Drop why = Drop::expired;
};

// What one commit writes, all or nothing. The ledger's entries of it go with it (D-05).
struct SpoolBatch {
  std::span<const SpoolArrival> arrivals{};   // not yet written, ascending positions per device
  std::span<const Settlement> settlements{};  // of messages written before, or of arrivals of this batch
  std::span<const Note> notes{};
  std::span<const Removal> removals{};
  std::span<const Position> purged{};  // dead letters
  const Tallies* booked = nullptr;     // what happened without a row
  bool synced = true;                  // reaches the medium before commit returns (durability = "power")
};

// The durable queue: one SQLite file in WAL mode, one row a message, ordered by position. Owned and called by the store
// thread only; synchronous. A per-device index of positions is kept in memory (16 bytes a message), so that no disk
// page is written for it. Every failure leaves file and index as they were.
class Spool {
 public:
  struct Options {
    std::string directory;                 // created with mode 0700 if missing
    std::uint64_t max_bytes = 1ULL << 30;  // of database and journal together (D-06)
    Milliseconds age_step{60'000};         // how exactly ages are known
    bool measure_sync = false;             // how long the disk takes to sync, at opening
    Moment now{std::chrono::steady_clock::now(), SystemClock().wall(), SystemClock().wall_trusted()};
  };
  struct Depth {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;  // sum of Message::footprint
    std::uint64_t dead_letters = 0;
    std::uint64_t dead_letter_bytes = 0;
  };
  struct DeviceDepth {
    DeviceId device;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t dead_letters = 0;
    std::uint64_t dead_letter_bytes = 0;
  };
  struct Committed {
    std::vector<Capacity::Freed> freed;
    std::vector<Removal> removed;  // those of the batch that were still there
    Tally booked;                  // by the commit itself, over all devices
  };

  // How much of Options::max_bytes messages may take (sum of Message::footprint): the rest is for the journal, which
  // holds whatever was written since its last checkpoint, and for inner pages and books.
  static std::uint64_t room(std::uint64_t max_bytes);
  // How much one commit may bring, so that the journal stays within its room: bytes of arrivals and of messages that
  // are rejected, but always one; and settlements and removals.
  static std::uint64_t batch_bytes(std::uint64_t max_bytes);
  static std::size_t batch_count(std::uint64_t max_bytes);

  // Opens or creates, brings an older file up to date, takes the lock against a second instance, and commits a new run
  // number, synced, before it returns (D-03). A damaged file is set aside under another name, loudly, and a new one
  // made. exists: another process holds the spool; denied: permissions; unavailable: the disk, or another program locks
  // the file; invalid: of a newer version, left untouched.
  static Result<std::unique_ptr<Spool>> open(const Options& options);
  ~Spool();

  [[nodiscard]] const std::string& uuid() const;  // 32 hex digits, made with the file
  [[nodiscard]] std::uint64_t run() const;
  [[nodiscard]] const std::string& set_aside() const;  // where a damaged file was put at opening, empty if none was
  [[nodiscard]] std::optional<std::chrono::microseconds> sync_time() const;  // as measured at opening
  [[nodiscard]] std::uint64_t bytes_on_disk() const;                         // database and journal as they are

  // One transaction. exhausted: disk full; unavailable: I/O error or locked; corrupt: damaged, and the next opening
  // sets it aside. The caller keeps everything and tries again.
  Result<Committed> commit(const SpoolBatch& batch, const Moment& now);

  // Up to `limit` messages, and at most about `max_bytes` of footprint but always one, of a device behind `after`, in
  // order.
  Result<std::vector<MessagePtr>> read(const DeviceId& device, Position after, std::size_t limit,
                                       std::size_t max_bytes);
  [[nodiscard]] bool has_after(const DeviceId& device, Position after) const;

  // Before an orderly end: notes how old everything is by now.
  Result<bool> leave(const Moment& now);

  // The oldest messages of a device, until `bytes` of footprint and `count` are reached.
  [[nodiscard]] std::vector<Position> oldest(const DeviceId& device, std::uint64_t bytes, std::uint64_t count) const;
  // Messages older than their device's limit (0: none), at most `limit`.
  [[nodiscard]] std::vector<Removal> expired(const std::function<Milliseconds(const DeviceId&)>& max_age,
                                             SteadyTime now, std::size_t limit) const;
  // Age of the oldest message that waits, at least; nothing if none waits.
  [[nodiscard]] std::optional<Milliseconds> oldest_age(SteadyTime now) const;

  [[nodiscard]] Depth depth() const;
  [[nodiscard]] std::vector<DeviceDepth> devices() const;                // those with messages or dead letters
  [[nodiscard]] Result<std::vector<CommandRecord>> commands() const;     // not older than the hub can redeliver
  [[nodiscard]] Result<std::vector<KeptCommand>> kept_commands() const;  // in the order of taking
  [[nodiscard]] Result<std::vector<TwinCopy>> twins() const;
  [[nodiscard]] Result<std::vector<DeadLetter>> dead_letters(const DeadLetterQuery& query) const;
  [[nodiscard]] Result<Books> books() const;

 private:
  class Impl;
  template <class F>
  auto guarded(F&& act) const -> Result<decltype(std::declval<F&>()())>;
  explicit Spool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline
