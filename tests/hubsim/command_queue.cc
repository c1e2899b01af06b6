// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/command_queue.h"

#include <algorithm>

#include "gateway/base/crypto.h"

namespace trunkline::hubsim {

std::string_view to_string(Fate fate) {
  switch (fate) {
    case Fate::waiting:
      return "queued";
    case Fate::locked:
      return "locked";
    case Fate::completed:
      return "completed";
    case Fate::rejected:
      return "rejected";
    case Fate::expired:
      return "expired";
    case Fate::delivery_count_exceeded:
      return "delivery_count_exceeded";
    case Fate::purged:
      return "purged";
  }
  return "unknown";
}

Result<std::uint64_t> CommandQueue::enqueue(Message message, std::string ack, WallTime now) {
  if (items_.size() >= limits_.depth) return fail(ErrorCode::exhausted, "the queue is full");
  Item item;
  item.sequence = ++last_sequence_;
  item.ack = std::move(ack);
  item.enqueued = now;
  item.expires =
      message.absolute_expiry_time ? WallTime(Milliseconds(*message.absolute_expiry_time)) : now + limits_.default_ttl;
  item.message = std::move(message);
  items_.emplace(item.sequence, std::move(item));
  ++waiting_;
  return last_sequence_;
}

std::optional<CommandQueue::Delivery> CommandQueue::lock(std::uint64_t holder, SteadyTime now, WallTime wall) {
  tick(now, wall);
  if (waiting_ == 0) return std::nullopt;
  const auto found =
      std::find_if(items_.begin(), items_.end(), [](const auto& entry) { return entry.second.fate == Fate::waiting; });
  auto& item = found->second;
  item.fate = Fate::locked;
  --waiting_;
  auto token = random_bytes(16);
  locks_[token] = Lock{item.sequence, holder, now + limits_.lock};
  return Delivery{&item, std::move(token)};
}

bool CommandQueue::settle(const std::string& token, Verdict verdict) {
  const auto found = locks_.find(token);
  if (found == locks_.end()) return false;
  const auto sequence = found->second.sequence;
  locks_.erase(found);
  switch (verdict) {
    case Verdict::accepted:
      finish(sequence, Fate::completed);
      break;
    case Verdict::rejected:
      finish(sequence, Fate::rejected);
      break;
    case Verdict::released:
    case Verdict::modified: {
      auto& item = items_.at(sequence);
      if (++item.delivery_count >= limits_.max_delivery_count) {
        finish(sequence, Fate::delivery_count_exceeded);
      } else {
        requeue(item);
      }
      break;
    }
  }
  return true;
}

void CommandQueue::give_back(std::uint64_t holder) {
  std::erase_if(locks_, [this, holder](const auto& entry) {
    if (entry.second.holder != holder) return false;
    requeue(items_.at(entry.second.sequence));
    return true;
  });
}

void CommandQueue::tick(SteadyTime now, WallTime wall) {
  std::erase_if(locks_, [this, now](const auto& entry) {
    if (entry.second.until > now) return false;
    requeue(items_.at(entry.second.sequence));
    return true;
  });
  // A locked message does not expire under the hands of its receiver.
  std::vector<std::uint64_t> over;
  for (const auto& [sequence, item] : items_) {
    if (item.fate == Fate::waiting && item.expires <= wall) over.push_back(sequence);
  }
  for (const auto sequence : over) finish(sequence, Fate::expired);
}

void CommandQueue::purge() {
  locks_.clear();
  while (!items_.empty()) finish(items_.begin()->first, Fate::purged);
}

SteadyTime CommandQueue::deadline(SteadyTime now, WallTime wall) const {
  auto next = kNever;
  for (const auto& [token, lock] : locks_) next = std::min(next, lock.until);
  for (const auto& [sequence, item] : items_) {
    if (item.fate != Fate::waiting) continue;
    // A lifetime may be years away; the steady clock is asked again in a day.
    const auto left = std::clamp<Milliseconds>(item.expires - wall, Milliseconds(0), std::chrono::hours(24));
    next = std::min(next, now + left);
  }
  return next;
}

const CommandQueue::Item* CommandQueue::find(std::uint64_t sequence) const {
  const auto found = items_.find(sequence);
  return found == items_.end() ? nullptr : &found->second;
}

std::vector<CommandQueue::Item> CommandQueue::take_finished() {
  return std::exchange(finished_, {});
}

void CommandQueue::finish(std::uint64_t sequence, Fate fate) {
  auto node = items_.extract(sequence);
  if (node.mapped().fate == Fate::waiting) --waiting_;
  node.mapped().fate = fate;
  finished_.push_back(std::move(node.mapped()));
}

void CommandQueue::requeue(Item& item) {
  item.fate = Fate::waiting;
  ++waiting_;
}

}  // namespace trunkline::hubsim
