// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/core/message.h"
#include "gateway/core/outcome.h"

namespace trunkline {

// The verdict on one message, as the store writes it: accepted deletes the row, rejected and modified move it to the
// dead letters. (released never gets here; the multiplexer keeps such a message.)
struct Settlement {
  MessagePtr message;
  Outcome outcome;
};

// What a device did with a command, kept so that a redelivery after a crash repeats the outcome and not the act (C-01).
struct CommandRecord {
  DeviceId device;
  std::uint64_t sequence = 0;  // the hub's, unique per device queue
  WallTime enqueued{};         // the hub's; tells a queue that was made anew from the old one
  std::string id;              // the service's message-id, may be empty
  Outcome outcome;
  WallTime at{};
};

// What one commit writes, all or nothing.
struct SpoolBatch {
  std::span<const MessagePtr> arrivals;     // not yet written, ascending positions per device
  std::span<const Settlement> settlements;  // of messages written before, or of arrivals of this batch
  std::span<const CommandRecord> commands;
};

// The durable queue: one SQLite file in WAL mode, one row a message, ordered by position. Owned and called by the store
// thread only; synchronous. A per-device index of positions is kept in memory (16 bytes a message), so that no disk
// page is written for it. Every failure leaves file and index as they were.
class Spool {
 public:
  struct Options {
    std::string directory;                 // created with mode 0700 if missing
    bool synced = true;                    // every commit reaches the medium (durability = "power")
    std::uint64_t max_bytes = 1ULL << 30;  // of database and journal together (D-06)
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
  };

  // How much of Options::max_bytes messages may take (sum of Message::footprint): the rest is for the journal, which
  // holds whatever was written since its last checkpoint, and for inner pages.
  static std::uint64_t room(std::uint64_t max_bytes);

  // Opens or creates, takes the lock against a second instance, and commits a new run number, synced, before it returns
  // (D-03). exists: another process holds the spool; corrupt: the file is damaged or of a newer version; it is left
  // untouched.
  static Result<std::unique_ptr<Spool>> open(const Options& options);
  ~Spool();

  [[nodiscard]] const std::string& uuid() const;  // 32 hex digits, made with the file
  [[nodiscard]] std::uint64_t run() const;

  // One transaction. exhausted: disk full; unavailable: I/O error or locked; the caller keeps everything and tries
  // again.
  Result<void> commit(const SpoolBatch& batch, WallTime now);

  // Up to `limit` messages, and at most about `max_bytes` of footprint but always one, of a device behind `after`, in
  // order.
  Result<std::vector<MessagePtr>> read(const DeviceId& device, Position after, std::size_t limit,
                                       std::size_t max_bytes);
  [[nodiscard]] bool has_after(const DeviceId& device, Position after) const;

  [[nodiscard]] Depth depth() const;
  [[nodiscard]] std::vector<DeviceDepth> devices() const;             // those with messages
  [[nodiscard]] Result<std::vector<CommandRecord>> commands() const;  // not older than the hub can redeliver

 private:
  class Impl;
  explicit Spool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline
