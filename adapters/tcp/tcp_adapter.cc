// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/tcp_adapter.h"

#include <pthread.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "adapters/tcp/device.h"
#include "adapters/tcp/port.h"
#include "gateway/base/log.h"

namespace trunkline {

namespace {

using net::asio::io_context;

}  // namespace

class TcpAdapter::Impl {
 public:
  Impl(const std::vector<DeviceMap>& maps, const Clock& clock, Metrics& metrics)
      : loop_{std::make_shared<tcp::Inbox>(), clock, tcp::Counters(metrics), nullptr, false, 0, 0, {}, 0, {}, {}, {}},
        timer_(loop_.inbox->io) {
    for (const auto& map : maps) {
      if (map.tcp) maps_.push_back(map);
    }
    std::vector<AdapterDeviceStatus> status(maps_.size());
    for (std::size_t i = 0; i < maps_.size(); ++i) status[i].device = maps_[i].id.text();
    loop_.status.with([&](auto& value) { value = std::move(status); });
    auto& inbox = *loop_.inbox;
    inbox.answers.set_wake([this, &inbox] { net::asio::post(inbox.io, [this] { take_answers(); }); });
    inbox.deliveries.set_wake([this, &inbox] { net::asio::post(inbox.io, [this] { take_deliveries(); }); });
    loop_.on_idle = [this] { finish_when_idle(); };
  }

  Result<void> start(Ingress& ingress) {
    loop_.ingress = &ingress;
    std::vector<std::vector<tcp::Device*>> groups;
    std::unordered_map<std::string, std::size_t> by_address;
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      auto device = tcp::Device::make(loop_, maps_[i], i);
      if (!device) return fail(device.error().in("tcp"));
      by_id_.emplace(maps_[i].id, device->get());
      // A device that is alone on its address needs no identification; the others share what they are met at.
      const auto& map = *maps_[i].tcp;
      const bool sole = map.line.identify.by == TcpIdentify::By::sole;
      const auto [found, fresh] =
          by_address.emplace(sole ? std::to_string(i) : map.listen + '|' + map.connect, groups.size());
      if (fresh) groups.emplace_back();
      groups[found->second].push_back(device->get());
      devices_.push_back(std::move(*device));
    }
    for (auto& group : groups) {
      auto port = tcp::Port::make(loop_, group);
      if (!port) return fail(port.error().in("tcp"));
      if (auto open = (*port)->open(); !open) return fail(open.error().in("tcp"));
      for (const auto* device : group) locals_.emplace(device->id(), (*port)->local());
      ports_.push_back(std::move(*port));
    }
    touched_flags_.assign(devices_.size(), false);
    work_.emplace(loop_.inbox->io.get_executor());
    running_ = true;
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void deliver(Command command, Completion<Outcome> done) {
    if (!running_) {
      done(Outcome::released("the gateway is stopping"));
      return;
    }
    loop_.inbox->deliveries.push({std::move(command), std::move(done)});
    if (!running_) release_deliveries();  // stop may have looked before the push
  }

  void stop(SteadyTime deadline) {
    running_ = false;
    if (thread_.joinable()) {
      net::asio::post(loop_.inbox->io, [this, deadline] { begin_stop(deadline); });
      thread_.join();
    }
    release_deliveries();
    by_id_.clear();
    ports_.clear();
    devices_.clear();
  }

  AdapterStatus status() const {
    AdapterStatus out{"tcp", running_, running_ ? "listening" : "stopped", {}};
    out.devices = loop_.status.with([](const auto& status) { return status; });
    out.unknown_topics = loop_.unknown.with([](const auto& sample) { return sample; });
    return out;
  }

  std::string listening(const DeviceId& device) const {
    const auto found = locals_.find(device);
    return found == locals_.end() ? std::string() : found->second;
  }

 private:
  void run() {
    ::pthread_setname_np(::pthread_self(), "tcp");
    try {
      loop_.inbox->io.run();
    } catch (const std::exception& error) {
      log::error("thread_failed", {{"adapter", "tcp"}, {"error", error.what()}});
      std::abort();
    }
  }

  void take_answers() {
    loop_.inbox->answers.take(answers_);
    for (const auto& answer : answers_) {
      devices_[answer.device]->on_answer(answer);
      if (!touched_flags_[answer.device]) {
        touched_flags_[answer.device] = true;
        touched_.push_back(answer.device);
      }
    }
    for (const auto device : touched_) {
      touched_flags_[device] = false;
      devices_[device]->after_answers();
    }
    touched_.clear();
    if (loop_.stopping) finish_when_idle();
  }

  void take_deliveries() {
    std::vector<tcp::Delivery> deliveries;
    loop_.inbox->deliveries.take(deliveries);
    for (auto& [command, done] : deliveries) {
      const auto found = by_id_.find(command.device);
      if (found == by_id_.end()) {
        done(Outcome::rejected("amqp:not-found", "no such TCP device"));
      } else {
        found->second->deliver(std::move(command), std::move(done));
      }
    }
  }

  void release_deliveries() {
    std::vector<tcp::Delivery> deliveries;
    loop_.inbox->deliveries.take(deliveries);
    for (auto& delivery : deliveries) delivery.done(Outcome::released("the gateway is stopping"));
  }

  void begin_stop(SteadyTime deadline) {
    loop_.stopping = true;
    for (auto& port : ports_) port->stop_taking();
    for (auto& device : devices_) device->stop_taking();
    timer_.expires_at(deadline);
    timer_.async_wait([this](net::error_code error) {
      if (error != net::asio::error::operation_aborted) close_all();
    });
    finish_when_idle();
  }

  // Answers that are still out mean acknowledgements that still can be given.
  void finish_when_idle() {
    if (closed_ || loop_.offered > 0) return;
    for (const auto& port : ports_) {
      if (port->writing()) return;
    }
    close_all();
  }

  void close_all() {
    if (std::exchange(closed_, true)) return;
    if (loop_.offered > 0) {
      log::warning("adapter_stopped_early", {{"adapter", "tcp"}, {"unanswered", loop_.offered}});
    }
    timer_.cancel();
    for (auto& port : ports_) port->close();
    for (auto& device : devices_) device->close();
    work_.reset();
  }

  std::vector<DeviceMap> maps_;
  tcp::Loop loop_;
  net::asio::steady_timer timer_;
  std::optional<net::asio::executor_work_guard<io_context::executor_type>> work_;
  std::vector<std::unique_ptr<tcp::Device>> devices_;
  std::vector<std::unique_ptr<tcp::Port>> ports_;  // after the devices: their lines refer to them
  std::unordered_map<DeviceId, tcp::Device*> by_id_;
  std::unordered_map<DeviceId, std::string> locals_;
  std::vector<tcp::Answer> answers_;
  std::vector<std::size_t> touched_;
  std::vector<bool> touched_flags_;
  bool closed_ = false;
  std::atomic<bool> running_ = false;
  std::thread thread_;
};

TcpAdapter::TcpAdapter(const std::vector<DeviceMap>& maps, const Clock& clock, Metrics& metrics)
    : impl_(std::make_unique<Impl>(maps, clock, metrics)) {}

TcpAdapter::~TcpAdapter() {
  impl_->stop(SteadyTime{});
}

Result<void> TcpAdapter::start(Ingress& ingress) {
  return impl_->start(ingress);
}

void TcpAdapter::deliver(Command command, Completion<Outcome> done) {
  impl_->deliver(std::move(command), std::move(done));
}

void TcpAdapter::stop(SteadyTime deadline) {
  impl_->stop(deadline);
}

AdapterStatus TcpAdapter::status() const {
  return impl_->status();
}

std::string TcpAdapter::listening(const DeviceId& device) const {
  return impl_->listening(device);
}

}  // namespace trunkline
