// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/intake.h"

#include <utility>

namespace trunkline {
namespace {
// How long a device should wait when there is no room; space comes back one settlement at a time, so soon is right.
constexpr Milliseconds kFullRetry{500};
constexpr Milliseconds kFailedRetry{2000};
}  // namespace

Intake::Intake(StoreThread& store, LiveFeed& live, Capacity& capacity, const MessageSizer& sizer, const Clock& clock,
               Metrics& metrics, std::uint64_t run, PresenceHandler on_presence)
    : store_(store),
      live_(live),
      capacity_(capacity),
      sizer_(sizer),
      clock_(clock),
      on_presence_(std::move(on_presence)),
      run_(run),
      received_(metrics.metric("received_total", "Messages stamped by intake")),
      throttled_(metrics.metric("throttled_total", "Offers answered with back pressure")),
      oversize_(metrics.metric("refused_total", "Offers refused for ever", "reason=\"oversize\"")) {}

void Intake::submit(Telemetry telemetry, Completion<Admission> done) {
  if (const auto size = sizer_.size(telemetry); size > sizer_.limit()) {
    oversize_.add();
    done(Admission::refused("oversize: " + std::to_string(size) + " bytes as the hub counts, its limit is " +
                            std::to_string(sizer_.limit())));
    return;
  }
  auto message = std::make_shared<Message>(Message{{}, clock_.wall(), std::move(telemetry)});
  const auto footprint = message->footprint();
  if (capacity_.failed()) {
    throttled_.add();
    done(Admission::throttled(kFailedRetry, "the spool cannot be written"));
    return;
  }
  if (!capacity_.reserve(footprint)) {
    throttled_.add();
    done(Admission::throttled(kFullRetry, "the spool is full"));
    return;
  }
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    capacity_.give_back(footprint);
    done(Admission::throttled(kFailedRetry, "the gateway is stopping"));
    return;
  }
  // Stamp and both offers under one lock: positions reach store and multiplexer in their order, the store first, so
  // that a settlement or a read request never overtakes the arrival it speaks of.
  message->position = Position::make(run_, ++sequence_);
  MessagePtr shared = std::move(message);
  store_.push(Arrival{shared, std::move(done)});
  live_.push(std::move(shared));
  received_.add();
}

void Intake::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace trunkline
