// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "tests/hubsim/message.h"

namespace trunkline::hubsim {

// How a message left a queue, in the words of feedback records; `waiting` and `locked` while it has not.
enum class Fate { waiting, locked, completed, rejected, expired, delivery_count_exceeded, purged };
std::string_view to_string(Fate fate);

// What the receiver said about a delivery.
enum class Verdict { accepted, rejected, released, modified };

// A queue with locks as the hub keeps one for each device's commands (section 6): oldest first, a lock for each
// delivery, given back when the lock ends (the delivery count stays) or the receiver releases it (the count grows),
// finished by an outcome, by time, or by too many deliveries. Pure: the caller gives the time; never fails but by its
// answers. Also used for feedback messages.
class CommandQueue {
 public:
  struct Limits {
    std::size_t depth = 50;
    Milliseconds lock{60'000};
    Milliseconds default_ttl{3'600'000};
    unsigned max_delivery_count = 10;
  };
  struct Item {
    std::uint64_t sequence = 0;
    Message message;
    std::string ack;  // iothub-ack: "" or none, positive, negative, full
    WallTime enqueued{};
    WallTime expires{};
    unsigned delivery_count = 0;
    Fate fate = Fate::waiting;
  };
  struct Delivery {
    const Item* item = nullptr;  // valid until the next call that changes the queue
    std::string token;           // 16 bytes: lock token and delivery tag
  };

  explicit CommandQueue(Limits limits) : limits_(limits) {}

  // The sequence number; exhausted if the queue is full.
  Result<std::uint64_t> enqueue(Message message, std::string ack, WallTime now);
  // Locks the oldest message that waits, for the holder (a number of the caller's that stands for a link).
  std::optional<Delivery> lock(std::uint64_t holder, SteadyTime now, WallTime wall);
  // False if the lock was lost meanwhile.
  bool settle(const std::string& token, Verdict verdict);
  // The holder is gone: its messages wait again at once, their count unchanged.
  void give_back(std::uint64_t holder);
  // Ends locks and lifetimes that are over.
  void tick(SteadyTime now, WallTime wall);
  void purge();

  // The next moment at which tick has work, on the steady clock; kNever if there is none.
  [[nodiscard]] SteadyTime deadline(SteadyTime now, WallTime wall) const;
  [[nodiscard]] bool has_waiting() const { return waiting_ != 0; }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] std::size_t locked() const { return locks_.size(); }
  [[nodiscard]] const Item* find(std::uint64_t sequence) const;
  // Messages that left since the last call, oldest first.
  std::vector<Item> take_finished();

 private:
  struct Lock {
    std::uint64_t sequence = 0;
    std::uint64_t holder = 0;
    SteadyTime until{};
  };
  void finish(std::uint64_t sequence, Fate fate);
  void requeue(Item& item);

  Limits limits_;
  std::uint64_t last_sequence_ = 0;
  std::size_t waiting_ = 0;
  std::map<std::uint64_t, Item> items_;
  std::unordered_map<std::string, Lock> locks_;
  std::vector<Item> finished_;
};

}  // namespace trunkline::hubsim
