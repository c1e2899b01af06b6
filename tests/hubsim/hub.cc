// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/hub.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "gateway/base/log.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxHistory = 100'000;
constexpr std::size_t kMaxFeedbackRecords = 100'000;

CommandQueue::Limits feedback_limits(const HubLimits& limits) {
  return {static_cast<std::size_t>(-1), limits.lock, limits.default_ttl, limits.max_delivery_count};
}

}  // namespace

amqp::Condition default_take_over_condition() {
  return {"amqp:internal-error", "Another AMQP Client has opened a Receive Link"};
}

Hub::Hub(net::asio::io_context& io, const HubOptions& options, Directory directory, ArrivalLog log,
         std::shared_ptr<net::asio::ssl::context> tls)
    : take_over_condition(default_take_over_condition()),
      io_(io),
      clock_(options.clock != nullptr ? *options.clock : system_clock_),
      limits_(options.limits),
      directory_(std::move(directory)),
      log_(std::move(log)),
      tls_(std::move(tls)),
      feedback_queue_(feedback_limits(options.limits)),
      batcher_(options.limits.feedback_delay),
      timer_(io) {
  if (auto listen = net::Endpoint::parse(options.listen)) endpoints_.push_back(*listen);
  for (const auto& address : options.also_listen) {
    if (auto listen = net::Endpoint::parse(address)) endpoints_.push_back(*listen);
  }
}

Hub::~Hub() {
  listeners_.clear();
  while (!connections_.empty()) {
    const auto gone = connections_.extract(connections_.begin());
  }
}

Result<void> Hub::set_listening(ListenMode mode) {
  mode_ = mode;
  if (mode == ListenMode::refuse) {
    listeners_.clear();
    return {};
  }
  if (mode == ListenMode::accept) {
    silent_.clear();
    for (const auto& [number, connection] : connections_) connection->drop_if_mute();
  }
  for (auto i = listeners_.size(); i < endpoints_.size(); ++i) {
    auto listener = net::Listener::open(
        io_, endpoints_[i], [this, i](net::asio::ip::tcp::socket socket) { accepted(std::move(socket), i); });
    if (!listener) {
      listeners_.clear();
      return fail(listener.error());
    }
    endpoints_[i] = (*listener)->local();
    listeners_.push_back(std::move(*listener));
  }
  return {};
}

void Hub::accepted(net::asio::ip::tcp::socket socket, std::size_t listener) {
  if (mode_ == ListenMode::silent) {
    silent_.push_back(std::move(socket));
    return;
  }
  net::error_code ignored;
  socket.set_option(net::asio::ip::tcp::no_delay(true), ignored);
  const auto number = ++connections_ever_;
  connections_[number] =
      std::make_unique<HubConnection>(*this, number, listener, mode_ == ListenMode::tls, std::move(socket), tls_);
}

void Hub::finished(std::uint64_t connection) {
  net::asio::post(io_, [this, connection] {
    connections_.erase(connection);
    changed();
  });
}

std::shared_ptr<Device> Hub::device(const std::string& id) {
  if (!directory_.knows(id)) return nullptr;
  auto& device = devices_[id];
  if (!device) {
    device = std::make_shared<Device>(
        id, CommandQueue::Limits{limits_.queue_depth, limits_.lock, limits_.default_ttl, limits_.max_delivery_count});
  }
  return device;
}

std::shared_ptr<Device> Hub::device(const Address& address) {
  auto found = device(address.device);
  return found ? found : device(address.device_decoded);
}

bool Hub::remove_device(const std::string& id) {
  const auto modules = directory_.modules_of(id);
  if (!directory_.remove_device(id)) return false;
  auto gone = modules;
  gone.push_back(id);
  for (const auto& name : gone) {
    const auto found = devices_.find(name);
    if (found == devices_.end()) continue;
    const auto device = found->second;
    for (auto* link : std::vector<Link*>(device->links)) {
      link->connection->detach(*link, {"amqp:not-found", "Device not found"});
    }
    device->queue.purge();
    queue_changed(*device);
    device->calls.abandon();
    devices_.erase(name);
  }
  return true;
}

Result<std::uint64_t> Hub::enqueue(Device& device, Message message, std::string ack) {
  message.to = path_of(device.id) + "/messages/devicebound";
  auto sequence = device.queue.enqueue(std::move(message), std::move(ack), wall());
  if (sequence) queue_changed(device);
  return sequence;
}

bool Hub::settle(Device& device, const std::string& token, Verdict verdict, const amqp::Condition& reason) {
  const bool locked = device.queue.settle(token, verdict);
  if (locked && verdict == Verdict::rejected) {
    // It left the queue just now, so it is the last that did.
    for (auto& item : device.queue.take_finished()) book(device, item, reason);
  }
  queue_changed(device);
  return locked;
}

void Hub::book(Device& device, const CommandQueue::Item& item, const amqp::Condition& reason) {
  CommandRecord record;
  record.sequence = item.sequence;
  record.message_id = item.message.message_id;
  record.fate = item.fate;
  record.delivery_count = item.delivery_count;
  if (item.fate == Fate::rejected) record.reason = reason;
  device.history.push_back(std::move(record));
  if (device.history.size() > kMaxHistory) device.history.pop_front();
  if (auto feedback = feedback_for(item, device.id, wall())) {
    if (const auto* known = directory_.find(device.id)) feedback->generation = known->generation;
    feedback_records_.push_back(*feedback);
    if (feedback_records_.size() > kMaxFeedbackRecords) feedback_records_.pop_front();
    batcher_.add(std::move(*feedback));
    feedback_changed();
  }
}

void Hub::queue_changed(Device& device) {
  for (const auto& item : device.queue.take_finished()) book(device, item, {});
  if (device.command_link != nullptr && device.queue.has_waiting() && pn_link_credit(device.command_link->handle) > 0) {
    device.command_link->connection->serve(*device.command_link);
  }
  arm_device(device);
  changed();
}

void Hub::arm_device(Device& device) {
  const auto deadline = std::min(device.queue.deadline(steady(), wall()), device.calls.deadline(device.online()));
  if (deadline >= device.armed) return;
  const auto known = devices_.find(device.id);
  if (known == devices_.end()) return;
  device.armed = deadline;
  device_timers_.emplace(deadline, known->second);
  arm(deadline);
}

void Hub::call_method(Device& device, MethodCalls::Call call, MethodCalls::Done done) {
  device.calls.begin(std::move(call), device.online(), steady(), std::move(done));
  calls_changed(device);
}

void Hub::calls_changed(Device& device) {
  if (device.method_link != nullptr && device.calls.has_waiting()) {
    device.method_link->connection->serve(*device.method_link);
  }
  arm_device(device);
  changed();
}

void Hub::desired_changed(Device& device, const std::string& notification) {
  if (device.twin_link != nullptr && device.wants_desired) {
    device.twin_link->connection->send_desired(*device.twin_link, notification);
  }
  changed();
}

std::optional<CommandRecord> Hub::command(const Device& device, std::uint64_t sequence) const {
  if (const auto* item = device.queue.find(sequence)) {
    return CommandRecord{sequence, item->message.message_id, item->fate, item->delivery_count, {}};
  }
  const auto found = std::find_if(device.history.rbegin(), device.history.rend(),
                                  [sequence](const CommandRecord& record) { return record.sequence == sequence; });
  if (found == device.history.rend()) return std::nullopt;
  return *found;
}

void Hub::feedback_changed() {
  feedback_queue_.take_finished();
  while (true) {
    const auto batch = batcher_.take_due(steady());
    if (batch.empty()) break;
    Message message;
    message.user_id = directory_.host().substr(0, directory_.host().find('.'));
    message.to = "/messages/serviceBound/feedback";
    message.content_type = "application/vnd.microsoft.iothub.feedback.json";
    message.body = feedback_body(batch);
    // Unbounded in depth, so it cannot be refused.
    static_cast<void>(feedback_queue_.enqueue(std::move(message), {}, wall()));
  }
  arm(std::min(batcher_.deadline(), feedback_queue_.deadline(steady(), wall())));
  if (!feedback_queue_.has_waiting()) return;
  for (const auto& [number, connection] : connections_) connection->serve_feedback();
}

void Hub::set_feedback_delay(Milliseconds delay) {
  limits_.feedback_delay = delay;
  batcher_.set_delay(delay);
  feedback_changed();
}

void Hub::arm(SteadyTime when) {
  if (when == kNever || when >= armed_) return;
  armed_ = when;
  start_timer();
}

void Hub::start_timer() {
  const auto left = std::max<SteadyTime::duration>(armed_ - steady(), SteadyTime::duration::zero());
  timer_.expires_after(left);
  timer_.async_wait([this](net::error_code error) {
    if (error) return;
    armed_ = kNever;
    tick();
  });
}

void Hub::tick() {
  const auto now = steady();
  for (const auto& [number, connection] : connections_) connection->tick(now, wall());
  while (!device_timers_.empty() && device_timers_.begin()->first <= now) {
    const auto device = device_timers_.begin()->second.lock();
    device_timers_.erase(device_timers_.begin());
    if (!device) continue;
    device->armed = kNever;
    device->queue.tick(now, wall());
    device->calls.tick(device->online(), now);
    queue_changed(*device);
  }
  if (!device_timers_.empty()) arm(device_timers_.begin()->first);
  feedback_queue_.tick(now, wall());
  feedback_changed();
  check_waiters();
}

void Hub::wait(std::function<bool()> attempt, Milliseconds timeout, std::function<void()> late) {
  if (attempt()) return;
  waiters_.push_back({std::move(attempt), steady() + timeout, std::move(late)});
  arm(waiters_.back().until);
}

void Hub::changed() {
  if (waiters_.empty() || check_posted_) return;
  check_posted_ = true;
  net::asio::post(io_, [this] {
    check_posted_ = false;
    check_waiters();
  });
}

void Hub::check_waiters() {
  const auto now = steady();
  auto waiting = std::exchange(waiters_, {});
  waiting.remove_if([now](Waiter& waiter) {
    if (waiter.attempt()) return true;
    if (waiter.until > now) return false;
    waiter.late();
    return true;
  });
  for (const auto& waiter : waiting) arm(waiter.until);
  waiters_.splice(waiters_.begin(), waiting);
}

}  // namespace trunkline::hubsim
