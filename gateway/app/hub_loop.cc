// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/hub_loop.h"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <exception>

#include "gateway/base/check.h"
#include "gateway/base/crypto.h"
#include "gateway/base/log.h"

namespace trunkline::app {

namespace asio = boost::asio;

namespace {

// Methods and writes of a twin carry numbers that nobody else has had: begun at random, so that no answer from before a
// restart fits, and below 2^53, because many a device reads numbers as JavaScript does.
std::uint64_t first_number(std::uint64_t seed) {
  return std::uint64_t{1} << 40 | (seed & ((std::uint64_t{1} << 52) - 1));
}

}  // namespace

HubLoop::HubLoop(Parts parts, hub::HubLink::Options link, Multiplexer::Options multiplexer, TwinKeeper::Options twins,
                 std::uint64_t seed)
    : parts_(parts),
      work_(asio::make_work_guard(io_)),
      timer_(io_),
      link_options_(std::move(link)),
      keeper_({.deliver = [this](DeviceSlot slot, Command command,
                                 Completion<Outcome> done) { deliver(slot, std::move(command), std::move(done)); },
               .note =
                   [this](Note note, Completion<Recorded> done) {
                     parts_.store.push(RecordRequest{std::move(note), std::move(done)});
                   },
               .post = [this](std::function<void()> task) { post(std::move(task)); },
               .reachable = [this](DeviceSlot slot) { return multiplexer_.reachable(slot); },
               .full = [this](DeviceSlot slot, bool full) { multiplexer_.commands_full(slot, full); },
               .reserve = [this](std::uint64_t bytes) { return parts_.capacity.reserve_beside(bytes); },
               .give_back = [this](std::uint64_t bytes) { parts_.capacity.give_back_beside(bytes); }},
              parts.clock, parts.metrics, seed),
      router_({.deliver = [this](DeviceSlot slot, Command command,
                                 Completion<Outcome> done) { deliver(slot, std::move(command), std::move(done)); },
               .settle = [this](CommandTag tag, const Outcome& outcome) { multiplexer_.settle(tag, outcome); },
               .record =
                   [this](CommandRecord record, Completion<Recorded> done) {
                     parts_.store.push(RecordRequest{std::move(record), std::move(done)});
                   },
               .post = [this](std::function<void()> task) { post(std::move(task)); },
               .finished = [this](DeviceSlot slot, Outcome::Kind kind) { multiplexer_.command_finished(slot, kind); },
               .keeps = [this](DeviceSlot slot) { return keeper_.takes(slot); },
               .keep =
                   [this](DeviceSlot slot, Command command, CommandRecord record, Completion<Outcome> done) {
                     keeper_.take(slot, std::move(command), std::move(record), std::move(done));
                   }},
              parts.clock, parts.metrics),
      methods_(
          {.deliver = [this](DeviceSlot slot, Command command,
                             Completion<Outcome> done) { deliver(slot, std::move(command), std::move(done)); },
           .respond = [this](MethodTag tag, const MethodResponse& response) { multiplexer_.respond(tag, response); },
           .post = [this](std::function<void()> task) { post(std::move(task)); },
           .reachable = [this](DeviceSlot slot) { return multiplexer_.reachable(slot); }},
          parts.clock, parts.metrics, first_number(random_seed())),
      twins_(
          {.deliver = [this](DeviceSlot slot, Command command,
                             Completion<Outcome> done) { deliver(slot, std::move(command), std::move(done)); },
           .ask = [this](DeviceSlot slot, const TwinRequest& request) { return multiplexer_.ask_twin(slot, request); },
           .post = [this](std::function<void()> task) { post(std::move(task)); },
           .reachable = [this](DeviceSlot slot) { return multiplexer_.reachable(slot); },
           .heard = [this](DeviceSlot slot) { return multiplexer_.heard(slot); },
           .save =
               [this](TwinCopy copy) {
                 parts_.store.push(RecordRequest{std::move(copy), {}});
               },
           .reserve = [this](std::uint64_t bytes) { return parts_.capacity.reserve_beside(bytes); },
           .give_back = [this](std::uint64_t bytes) { parts_.capacity.give_back_beside(bytes); }},
          twins, parts.clock, parts.metrics, first_number(random_seed()), seed),
      multiplexer_(*this, *this, parts.tokens, Sinks(router_, methods_, twins_), parts.metrics, multiplexer, seed) {
  const auto wake = [this] { asio::post(io_, [this] { drain(); }); };
  tasks_.set_wake(wake);
  answers_.set_wake(wake);
  parts_.live.set_wake(wake);
}

HubLoop::~HubLoop() {
  stop(parts_.clock.steady());
}

Uplink& HubLoop::uplink(ConnectionSlot connection) {
  auto options = link_options_;
  options.connection = connection;
  auto& made =
      uplinks_.emplace_back(std::make_unique<hub::HubLink>(io_, std::move(options), parts_.clock, parts_.metrics));
  made->set_events(*this);
  return *made;
}

DeviceSlot HubLoop::add(const DeviceId& device, SessionOptions options, bool backlog, Adapter* adapter) {
  if (adapter == nullptr) options.commands = options.methods = options.twin = options.desired = false;
  const auto slot = multiplexer_.add(device, options, backlog);
  if (devices_.size() <= slot.value) devices_.resize(slot.value + 1);
  auto& known = devices_[slot.value];
  slots_.emplace(device, slot);
  if (options.methods) methods_.add(slot, device, options.method_timeout);
  const bool same_twin = known.options.twin == options.twin && known.options.desired == options.desired;
  if (options.twin && !same_twin) twins_.add(slot, device, options.desired);
  known = {adapter, options};
  return slot;
}

void HubLoop::deliver(DeviceSlot slot, Command command, Completion<Outcome> done) {
  auto* adapter = devices_.at(slot.value).adapter;
  if (adapter == nullptr) return done(Outcome::away("the device is in no map any more"));
  adapter->deliver(std::move(command), std::move(done));
}

void HubLoop::change(std::vector<Mapped> devices, std::function<void()> done) {
  post([this, devices = std::move(devices), done = std::move(done)] {
    for (const auto& mapped : devices) change_one(mapped);
    done();
  });
}

void HubLoop::change_one(const Mapped& mapped) {
  const auto found = slots_.find(mapped.device);
  bool reachable = false;
  std::erase(retiring_, mapped.device);
  if (found != slots_.end()) {
    const auto& had = devices_[found->second.value].options;
    const auto& wanted = mapped.options;
    const bool fewer = (had.commands && !wanted.commands) || (had.methods && !wanted.methods);
    reachable = multiplexer_.reachable(found->second);
    if (fewer || had.twin != wanted.twin || had.desired != wanted.desired) multiplexer_.remove(mapped.device);
    devices_[found->second.value].leaving = false;
  }
  const auto slot = add(mapped.device, mapped.options, false, mapped.adapter);
  // Adapters say it only when it changes, and a session that begins anew does not change it.
  if (reachable) multiplexer_.presence(mapped.device, Presence::reachable);
  if (mapped.keeps) {
    keep(mapped.device, *mapped.keeps);
  } else if (keeper_.takes(slot)) {
    keep(mapped.device, {.takes = false});
  }
}

void HubLoop::retire(std::vector<DeviceId> devices) {
  // What they said last is on its way here: it comes before the second of the two tasks. A change that is taken back
  // may map them again in between.
  post([this, devices = std::move(devices)]() mutable {
    for (const auto& device : devices) {
      if (const auto found = slots_.find(device); found != slots_.end()) devices_[found->second.value].leaving = true;
    }
    post([this, devices = std::move(devices)] {
      for (const auto& device : devices) {
        if (const auto found = slots_.find(device); found != slots_.end()) retire_one(device, found->second);
      }
    });
  });
}

void HubLoop::retire_one(const DeviceId& id, DeviceSlot slot) {
  auto& device = devices_[slot.value];
  if (!std::exchange(device.leaving, false)) return;
  device.adapter = nullptr;
  multiplexer_.presence(id, Presence::away);
  // While it gets rid of what waits, nothing more is taken into our care for it; what was, is kept for its return.
  if (keeper_.takes(slot)) keep(id, {.takes = false});
  if (const auto kept = keeper_.status(slot).commands; kept > 0) {
    log::warning("kept_command_unmapped",
                 {{"device", id.text()},
                  {"kept", kept},
                  {"do", "they are kept until their time is over; map the device again, and it gets them"}});
  }
  device.options.stored = false;
  multiplexer_.add(id, device.options, false);
  retiring_.push_back(id);
}

void HubLoop::end_retired() {
  std::erase_if(retiring_, [this](const DeviceId& device) {
    if (!multiplexer_.drained(device)) return false;
    multiplexer_.remove(device);
    devices_[slots_.at(device).value].options = {};
    return true;
  });
}

void HubLoop::set_rates(double attach, double send) {
  post([this, attach, send] { multiplexer_.set_rates(attach, send); });
}

void HubLoop::remember(const CommandRecord& record) {
  if (const auto found = slots_.find(record.device); found != slots_.end()) router_.remember(found->second, record);
}

void HubLoop::keep(const DeviceId& device, const CommandKeeper::Limits& limits) {
  if (const auto found = slots_.find(device); found != slots_.end()) keeper_.add(found->second, device, limits);
}

void HubLoop::restore(KeptCommand kept) {
  if (const auto found = slots_.find(kept.command.device); found != slots_.end()) {
    keeper_.restore(found->second, std::move(kept));
  }
}

void HubLoop::restore(const TwinCopy& twin) {
  if (const auto found = slots_.find(twin.device); found != slots_.end()) twins_.restore(found->second, twin);
}

void HubLoop::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "hub");
    try {
      run();
    } catch (const std::exception& e) {
      check_failed("no exception reaches the hub thread's end", e.what(), __FILE__, __LINE__);
    }
  });
}

void HubLoop::run() {
  schedule();
  io_.run();
}

void HubLoop::stop(SteadyTime deadline) {
  if (!thread_.joinable()) return;
  post([this, deadline] {
    stop_at_ = deadline;
    multiplexer_.stop();
  });
  thread_.join();
}

void HubLoop::presence(const DeviceId& device, Presence presence) {
  post([this, device, presence] {
    multiplexer_.presence(device, presence);
    if (const auto found = slots_.find(device); found != slots_.end()) {
      twins_.presence(found->second, presence);
      keeper_.presence(found->second, presence);
    }
  });
}

void HubLoop::report(const DeviceId& device, std::string patch) {
  post([this, device, patch = std::move(patch)] {
    if (const auto found = slots_.find(device); found != slots_.end()) twins_.report(found->second, patch);
  });
}

void HubLoop::identities_changed(std::vector<DeviceId> devices) {
  post([this, devices = std::move(devices)] { multiplexer_.identities_changed(devices); });
}

void HubLoop::status(std::function<void(const Status&)> done) {
  post([this, done = std::move(done)] {
    Status out{multiplexer_.status(), {}, {}, {}};
    for (const auto& device : out.trunk.devices) {
      const auto slot = slots_.at(device.device);
      out.twins.push_back(twins_.status(slot));
      out.commands.push_back(keeper_.status(slot));
    }
    for (const auto& one : uplinks_) out.clock_behind = std::max(out.clock_behind, one->clock_behind());
    done(out);
  });
}

void HubLoop::drain() {
  multiplexer_.set_time(parts_.clock.steady());
  // What the store says it removed was offered before, so it is taken first and passed on last.
  answers_.take(taken_answers_);
  parts_.live.take(live_);
  if (keeper_.retries()) hear();
  for (auto& message : live_.messages) multiplexer_.offer(std::move(message));
  for (const auto& [device, newest] : live_.missed) multiplexer_.missed(device, newest);
  for (auto& word : taken_answers_) {
    if (auto* answer = std::get_if<ReadAnswer>(&word)) {
      multiplexer_.on_batch(std::move(*answer));
    } else {
      for (const auto& [device, position, why] : std::get<std::vector<Removal>>(word)) {
        multiplexer_.forget(device, position);
      }
    }
  }
  tasks_.take(taken_tasks_);
  for (auto& task : taken_tasks_) task();
  live_.messages.clear();
  taken_tasks_.clear();
  if (!scheduled_) pump();
}

// Who speaks is awake.
void HubLoop::hear() {
  const auto hear = [this](const DeviceId& device) {
    if (const auto found = slots_.find(device); found != slots_.end()) keeper_.heard(found->second);
  };
  for (const auto& message : live_.messages) hear(message->telemetry.device);
  for (const auto& missed : live_.missed) hear(missed.first);
}

void HubLoop::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  asio::post(io_, [this] {
    scheduled_ = false;
    pump();
  });
}

void HubLoop::pump() {
  const auto now = parts_.clock.steady();
  const auto wall = parts_.clock.wall();
  if (!retiring_.empty()) end_retired();
  const auto methods = methods_.tick(now);
  const auto twins = twins_.tick(now, wall);
  const auto commands = keeper_.tick(now, wall);
  auto deadline = std::min({multiplexer_.tick(now, wall), methods, twins, commands});
  if (stop_at_) {
    finish_when_settled();
    deadline = std::min(deadline, *stop_at_);
  }
  if (deadline == armed_) return;
  armed_ = deadline;
  if (deadline == kNever) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(deadline);
  timer_.async_wait([this](boost::system::error_code failed) {
    if (failed) return;
    armed_ = kNever;
    pump();
  });
}

void HubLoop::finish_when_settled() {
  if (closing_) return;
  if (multiplexer_.in_flight() > 0 && parts_.clock.steady() < *stop_at_) return;
  closing_ = true;
  stop_at_ = kNever;
  multiplexer_.close();
  if (multiplexer_.closed()) io_.stop();
}

void HubLoop::on_ready(ConnectionSlot connection) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_ready(connection);
  schedule();
}

void HubLoop::on_lost(ConnectionSlot connection, LinkFault fault) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_lost(connection, std::move(fault));
  if (closing_ && multiplexer_.closed()) {
    io_.stop();
    return;
  }
  schedule();
}

void HubLoop::on_authorised(DeviceSlot slot) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_authorised(slot);
  schedule();
}

void HubLoop::on_refused(DeviceSlot slot, LinkFault fault) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_refused(slot, std::move(fault));
  schedule();
}

void HubLoop::on_attached(DeviceSlot slot, DeviceLink link) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_attached(slot, link);
  schedule();
}

void HubLoop::on_detached(DeviceSlot slot, DeviceLink link, LinkFault fault) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_detached(slot, link, std::move(fault));
  schedule();
}

// The two hot ones need no time: what they cause is decided by the tick.
void HubLoop::on_sendable(DeviceSlot slot) {
  multiplexer_.on_sendable(slot);
  schedule();
}

void HubLoop::on_outcome(DeviceSlot slot, Position position, Outcome outcome) {
  multiplexer_.on_outcome(slot, position, std::move(outcome));
  schedule();
}

void HubLoop::on_command(DeviceSlot slot, Command command, CommandTag tag) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_command(slot, std::move(command), tag);
  schedule();
}

void HubLoop::on_method(DeviceSlot slot, MethodCall call, MethodTag tag) {
  multiplexer_.set_time(parts_.clock.steady());
  multiplexer_.on_method(slot, std::move(call), tag);
  schedule();
}

void HubLoop::on_twin_answer(DeviceSlot slot, TwinAnswer answer) {
  multiplexer_.on_twin_answer(slot, std::move(answer));
  schedule();
}

void HubLoop::on_desired(DeviceSlot slot, std::string patch) {
  multiplexer_.on_desired(slot, std::move(patch));
  schedule();
}

}  // namespace trunkline::app
