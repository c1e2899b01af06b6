// SPDX-License-Identifier: Apache-2.0
// The part of the store for what is not safe yet: who waits, in which order it is to be written, and who is told.
#include <algorithm>
#include <utility>

#include "gateway/pipeline/store.h"

namespace trunkline {

void Store::take(Arrival arrival, SteadyTime now) {
  auto& queue = this->queue(arrival.message->telemetry.device);
  const auto position = arrival.message->position;
  const bool hurries = arrival.waits || arrival.replaces || options_.commit_delay <= Milliseconds(0);
  const bool passing = arrival.passing;
  const auto footprint = arrival.message->footprint();
  ++pending_;
  held_bytes_ += footprint;
  inflow_.add(footprint, now);
  queue.held.push_back({std::move(arrival), {}, {}});
  if (passing) {
    passing_.push_back({now, &queue, position});
  } else if (hurries) {
    hurry(queue, position);
  } else {
    later_.push_back({now + options_.commit_delay, &queue, position});
  }
}

// Whoever waits needs everything older of its device to be safe, too (D-01).
void Store::hurry(Queue& queue, Position through) {
  if (options_.commit_delay > Milliseconds(0)) {
    for (auto& held : queue.held) {
      if (held.arrival.message->position >= through) break;
      line_up(queue, held);
    }
  }
  if (auto* held = find(queue, through)) line_up(queue, *held);
}

void Store::line_up(Queue& queue, Held& held) {
  if (held.hurried || held.arrival.passing) return;
  held.hurried = true;
  hurried_.push_back({{}, &queue, held.arrival.message->position});
}

Store::Held* Store::find(Queue& queue, Position position) {
  auto& all = queue.held;
  // The newest or the oldest is asked for, most of the time.
  if (all.empty()) return nullptr;
  if (all.back().arrival.message->position == position) return &all.back();
  if (all.front().arrival.message->position == position) return &all.front();
  const auto held = std::lower_bound(all.begin(), all.end(), position, [](const Held& one, Position value) {
    return one.arrival.message->position < value;
  });
  return held == all.end() || held->arrival.message->position != position ? nullptr : &*held;
}

Store::Held* Store::find(const DeviceId& device, Position position) {
  const auto found = queues_.find(device);
  return found == queues_.end() ? nullptr : find(found->second, position);
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
    hurry(queue(device), position);
    return;
  }
  held->accepted = true;
  // With nothing to write before it, it is safe at once, disk or no disk.
  Tally tally;
  tally.received = tally.accepted = 1;
  never_written_.add();
  outflow_.add(held->arrival.message->footprint(), now);
  book(device, tally, now);
  answer(queue(device));
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
void Store::answer(Queue& queue) {
  auto& held = queue.held;
  while (!held.empty() && (held.front().accepted || held.front().written)) {
    auto done = std::move(held.front());
    held.pop_front();
    --pending_;
    const auto footprint = done.arrival.message->footprint();
    held_bytes_ -= footprint;
    if (done.accepted) {
      if (done.arrival.passing) {
        capacity_.give_back_passing(queue.device, footprint);
      } else {
        capacity_.give_back(queue.device, footprint);
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

}  // namespace trunkline
