// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/intake.h"

#include <utility>

#include "gateway/mapping/twin_rules.h"

namespace trunkline {
namespace {
// How long a device should wait when there is no room; space comes back one settlement at a time, so soon is right.
constexpr Milliseconds kFullRetry{500};
constexpr Milliseconds kFailedRetry{2000};
}  // namespace

Intake::Intake(StoreThread& store, LiveFeed& live, Capacity& capacity, const MessageSizer& sizer, const Clock& clock,
               Metrics& metrics, std::uint64_t run, PresenceHandler on_presence, KeyLookup keys,
               ReportHandler on_report)
    : store_(store),
      live_(live),
      capacity_(capacity),
      sizer_(sizer),
      clock_(clock),
      on_presence_(std::move(on_presence)),
      keys_(std::move(keys)),
      on_report_(std::move(on_report)),
      run_(run),
      received_(metrics.metric("received_total", "Messages stamped by intake")),
      throttled_(metrics.metric("throttled_total", "Offers answered with back pressure")),
      oversize_(metrics.metric("refused_total", "Offers refused for ever", "reason=\"oversize\"")),
      duplicates_(metrics.metric("duplicates_total", "Messages that their source said twice, suppressed")),
      reports_refused_(metrics.metric("refused_total", "Offers refused for ever", "reason=\"report\"")) {}

Result<void> Intake::report(const DeviceId& device, std::string_view patch) {
  if (const auto properties = read_properties(patch); !properties) {
    reports_refused_.add();
    return fail(properties.error());
  }
  if (on_report_) on_report_(device, std::string(patch));
  return {};
}

void Intake::submit(Telemetry telemetry, Completion<Admission> done) {
  const auto now = clock_.moment();
  mark_time(telemetry, now.trusted);
  if (const auto size = sizer_.size(telemetry); size > sizer_.limit()) {
    oversize_.add();
    done(Admission::refused("oversize: " + std::to_string(size) + " bytes as the hub counts, its limit is " +
                            std::to_string(sizer_.limit())));
    return;
  }
  auto message = std::make_shared<Message>(Message{{}, now.wall, std::move(telemetry)});
  const auto& device = message->telemetry.device;
  const auto footprint = message->footprint();
  std::unique_lock lock(mutex_);
  const auto offered = message->telemetry.offer;
  if (offered == Telemetry::Offer::again) held_back_.erase(device);
  // Said twice: it is answered when the first is safe, or at once if it is.
  if (const auto first = repeats_.find(message->telemetry, now.steady)) {
    duplicates_.add();
    store_.push(Repeat{device, *first, std::move(done)});
    return;
  }
  const auto refuse = [&](Milliseconds after, const char* why) {
    if (offered != Telemetry::Offer::alone) held_back_.insert(device);
    lock.unlock();
    throttled_.add();
    done(Admission::throttled(after, why));
  };
  if (closed_) return refuse(kFailedRetry, "the gateway is stopping");
  if (capacity_.failed()) return refuse(kFailedRetry, "the spool cannot be written");
  if (offered == Telemetry::Offer::in_line && held_back_.contains(device)) {
    return refuse(kFullRetry, "an older message of this device was refused");
  }
  DevicePolicy policy;
  const auto answer = capacity_.reserve(device, footprint, &policy);
  if (answer == Capacity::Answer::full) return refuse(kFullRetry, "the spool is full");
  if (answer == Capacity::Answer::at_limit) {
    if (policy.on_full == OnFull::refuse) return refuse(kFullRetry, "this device is at its limit of the spool");
    received_.add();
    store_.push(Dropped{device});
    lock.unlock();
    done(Admission::refused("dropped: this device is at its limit of the spool (on_full = \"drop_newest\")"));
    return;
  }
  Arrival arrival;
  arrival.done = std::move(done);
  arrival.waits = message->telemetry.sender_waits;
  arrival.synced = policy.synced;
  arrival.drops_oldest = policy.on_full == OnFull::drop_oldest;
  arrival.passing = answer == Capacity::Answer::passing;
  const auto stamped = offer(std::move(message), std::move(arrival));
  repeats_.remember(stamped->telemetry, stamped->position, now.steady);
  received_.add();
}

void Intake::readmit(const DeadLetter& letter) {
  auto message = std::make_shared<Message>(Message{{}, letter.received, *letter.telemetry});
  capacity_.occupy(letter.device, message->footprint());
  Arrival arrival;
  arrival.waits = true;
  arrival.synced = capacity_.policy(letter.device).synced;
  arrival.replaces = letter.position;
  std::lock_guard lock(mutex_);
  offer(std::move(message), std::move(arrival));
}

// Stamp and both offers under one lock: positions reach store and multiplexer in their order, the store first, so that
// a settlement or a read request never overtakes the arrival it speaks of.
MessagePtr Intake::offer(std::shared_ptr<Message> message, Arrival arrival) {
  message->position = Position::make(run_, ++sequence_);
  MessagePtr shared = std::move(message);
  arrival.message = shared;
  store_.push(std::move(arrival));
  live_.push(shared);
  return shared;
}

// Who reads the message must know that its times may be wrong. A message at the hub's limit goes without.
void Intake::mark_time(Telemetry& telemetry, bool trusted) const {
  if (trusted) return;
  telemetry.properties.push_back({"time-quality", "untrusted"});
  if (sizer_.size(telemetry) > sizer_.limit()) telemetry.properties.pop_back();
}

void Intake::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace trunkline
