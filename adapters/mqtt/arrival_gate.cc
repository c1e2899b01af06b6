// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/arrival_gate.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace trunkline::mqtt {

namespace {

// A commit is far quicker; what waits longer waits for room.
constexpr Milliseconds kHoldAfter{20};
// A throttle without a time must not become a busy loop.
constexpr Milliseconds kLeastRetry{10};

}  // namespace

struct ArrivalGate::Core {
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  SteadyTime stop_deadline = kNever;
  bool inside = false;       // a message is at the gate
  std::uint64_t passed = 0;  // messages that were
  bool holding = false;      // the one at the gate has been there for a while
};

ArrivalGate::ArrivalGate() : core_(std::make_shared<Core>()) {}

ArrivalGate::Verdict ArrivalGate::pass(Ingress& ingress, const std::function<Telemetry()>& make) {
  const auto leave = [this](Verdict verdict) {
    {
      std::lock_guard lock(core_->mutex);
      core_->inside = false;
      ++core_->passed;
      core_->holding = false;
    }
    core_->changed.notify_all();
    return verdict;
  };
  const auto hold = [this] {
    core_->holding = true;
    core_->changed.notify_all();
  };
  for (;;) {
    {
      std::lock_guard lock(core_->mutex);
      if (core_->stopping) break;
      core_->inside = true;
    }
    auto answer = std::make_shared<std::optional<Admission>>();
    ingress.submit(make(), Completion<Admission>([core = core_, answer](Admission admission) {
                     {
                       std::lock_guard lock(core->mutex);
                       *answer = std::move(admission);
                     }
                     core->changed.notify_all();
                   }));

    std::unique_lock lock(core_->mutex);
    const auto answered = [&] { return answer->has_value(); };
    if (!core_->changed.wait_for(lock, kHoldAfter, answered)) {
      hold();
      core_->changed.wait(lock, [&] { return answered() || core_->stopping; });
      if (!answered()) core_->changed.wait_until(lock, core_->stop_deadline, answered);
      if (!answered()) break;
    }
    switch ((*answer)->kind) {
      case Admission::Kind::safe:
      case Admission::Kind::duplicate:
        lock.unlock();
        return leave({Verdict::Kind::safe, {}});
      case Admission::Kind::refused: {
        auto reason = std::move((*answer)->reason);
        lock.unlock();
        return leave({Verdict::Kind::refused, std::move(reason)});
      }
      case Admission::Kind::throttled:
        hold();
        core_->changed.wait_for(lock, std::max((*answer)->retry_after, kLeastRetry), [&] { return core_->stopping; });
        continue;
      case Admission::Kind::abandoned:
        // The gateway is stopping and our own stop is on its way.
        hold();
        core_->changed.wait(lock, [&] { return core_->stopping; });
        break;
    }
    break;
  }
  return leave({Verdict::Kind::stopped, {}});
}

void ArrivalGate::stop(SteadyTime deadline) {
  {
    std::lock_guard lock(core_->mutex);
    core_->stopping = true;
    core_->stop_deadline = deadline;
  }
  core_->changed.notify_all();
}

bool ArrivalGate::holding() const {
  std::lock_guard lock(core_->mutex);
  return core_->holding;
}

void ArrivalGate::wait_clear(const std::atomic<bool>& given_up) const {
  std::unique_lock lock(core_->mutex);
  // Under steady load somebody is always inside, so another one than at first is as good as nobody.
  const auto first = core_->passed;
  core_->changed.wait(lock, [&] {
    const bool moving = !core_->inside || (core_->passed != first && !core_->holding);
    return moving || core_->stopping || given_up.load(std::memory_order_acquire);
  });
}

void ArrivalGate::nudge() {
  // Taken so that the waiter is either before its check or asleep, never between the two.
  { std::lock_guard lock(core_->mutex); }
  core_->changed.notify_all();
}

}  // namespace trunkline::mqtt
