// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/caller.h"

#include "adapters/mqtt/tls_probe.h"

namespace trunkline::mqtt {

Caller::Caller(OptionsSource options, JobQueue& jobs, EventQueue& events, SessionEvents& session_events,
               const ArrivalGate& gate)
    : options_(std::move(options)), jobs_(jobs), events_(events), session_events_(session_events), gate_(gate) {}

void Caller::run() {
  std::vector<Job> jobs;
  while (!quit_) {
    jobs_.take(jobs, kNever);
    for (const auto& job : jobs) {
      std::visit([this](const auto& one) { carry_out(one); }, job);
    }
  }
}

void Caller::close() {
  commands_.reset();
  session_.reset();
}

void Caller::carry_out(const OpenSession& job) {
  close();
  epoch_ = job.epoch;
  const auto options = options_();
  if (!options) {
    session_events_.lost(job.epoch, options.error().message);
    return;
  }
  if (auto tried = probe_tls(*options, [this] { return !jobs_.empty(); }); !tried) {
    session_events_.lost(job.epoch, tried.error().message);
    return;
  }
  auto session = PahoSession::open(*options, job.epoch, session_events_);
  if (!session) {
    session_events_.lost(job.epoch, session.error().message);
    return;
  }
  session_ = std::move(*session);
}

void Caller::carry_out(const Subscribe& job) {
  if (!is_open(job.epoch)) return;
  if (job.commands_apart && !commands_ && !open_commands(job.epoch)) return;
  for (const auto& [place, topic] : job.wanted) {
    if (auto sent = session_->subscribe(place, topic.filter, topic.state); !sent) {
      session_events_.lost(job.epoch, sent.error().message);
      return;
    }
  }
  for (const auto& filter : job.dropped) {
    if (auto sent = session_->unsubscribe(filter); !sent) {
      session_events_.lost(job.epoch, sent.error().message);
      return;
    }
  }
  events_.push(SubscribeSent{job.epoch});
}

// Only now, when the broker is known to answer. A file that changed since the session began makes it begin anew.
bool Caller::open_commands(std::uint64_t epoch) {
  const auto options = options_();
  auto opened = options ? CommandPublisher::open(*options, epoch, session_events_) : fail(options.error());
  if (!opened) {
    session_events_.lost(epoch, opened.error().message);
    return false;
  }
  commands_ = std::move(*opened);
  return true;
}

void Caller::carry_out(const Publish& job) {
  if (job.apart) {
    publish_apart(job);
    return;
  }
  // While a message is held Paho would block us, and a command that has been answered meanwhile could not be taken
  // back.
  gate_.wait_clear(*job.withdrawn);
  if (job.withdrawn->load(std::memory_order_acquire)) return;
  if (!is_open(job.epoch)) {
    events_.push(PublishFailed{job.ticket, 0, "the broker is away"});
    return;
  }
  if (auto sent = session_->publish(job.ticket, job.message); !sent) {
    events_.push(PublishFailed{job.ticket, 0, sent.error().message});
    return;
  }
  events_.push(PublishHanded{job.ticket});
}

void Caller::publish_apart(const Publish& job) {
  if (job.withdrawn->load(std::memory_order_acquire)) return;
  const auto sent = commands_ && epoch_ == job.epoch ? commands_->publish(job.ticket, job.message)
                                                     : fail(ErrorCode::unavailable, "the broker is away");
  if (sent) {
    events_.push(PublishHanded{job.ticket});
  } else {
    events_.push(PublishFailed{job.ticket, 0, sent.error().message});
  }
}

void Caller::carry_out(const CloseSession& job) {
  if (epoch_ == job.epoch) close();
}

void Caller::carry_out(const Quit&) {
  close();
  quit_ = true;
}

}  // namespace trunkline::mqtt
