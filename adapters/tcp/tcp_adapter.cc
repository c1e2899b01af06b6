// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/tcp_adapter.h"

#include <pthread.h>

#include <algorithm>
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
#include "gateway/base/guarded.h"
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
    auto& inbox = *loop_.inbox;
    inbox.answers.set_wake([this, &inbox] { net::asio::post(inbox.io, [this] { take_answers(); }); });
    inbox.deliveries.set_wake([this, &inbox] { net::asio::post(inbox.io, [this] { take_deliveries(); }); });
    loop_.on_idle = [this] { finish_when_idle(); };
  }

  Result<void> start(Ingress& ingress) {
    loop_.ingress = &ingress;
    if (auto added = add(std::exchange(maps_, {})); !added) return added;
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

  void change(DeviceChanges changes, std::function<void(Result<void>)> done) {
    if (!running_) return done(fail(ErrorCode::unavailable, "the gateway is stopping"));
    std::erase_if(changes.added, [](const DeviceMap& map) { return !map.tcp; });
    net::asio::post(loop_.inbox->io, [this, changes = std::move(changes), done = std::move(done)]() mutable {
      if (loop_.stopping) return done(fail(ErrorCode::unavailable, "the gateway is stopping"));
      for (const auto& id : changes.removed) retire(id, "its map was taken away");
      for (const auto& map : changes.added) retire(map.id, "its map was changed");
      auto added = add(changes.added);
      sweep();
      done(std::move(added));
    });
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
    left_.ports.clear();
    left_.devices.clear();
    devices_.clear();
  }

  AdapterStatus status() const {
    AdapterStatus out{"tcp", running_, running_ ? "listening" : "stopped", {}};
    out.devices = loop_.status.with([](const auto& status) { return status; });
    std::erase_if(out.devices, [](const auto& device) { return device.device.empty(); });
    out.unknown_topics = loop_.unknown.with([](const auto& sample) { return sample; });
    return out;
  }

  std::string listening(const DeviceId& device) const {
    return locals_.with([&](const auto& locals) {
      const auto found = locals.find(device);
      return found == locals.end() ? std::string() : found->second;
    });
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

  // Where a device is met: what shares an address has one port. A device that is alone on its address needs no
  // identification, the others share what they are met at.
  static std::string place_of(const DeviceMap& map) {
    const auto& tcp = *map.tcp;
    return tcp.line.identify.by == TcpIdentify::By::sole ? "device " + map.id.text() : tcp.listen + '|' + tcp.connect;
  }

  // Those whose address is open join it, the others open theirs.
  Result<void> add(const std::vector<DeviceMap>& maps) {
    std::vector<std::string> places;
    std::unordered_map<std::string, std::vector<tcp::Device*>> groups;
    for (const auto& map : maps) {
      const auto index = free_place(map.id);
      auto device = tcp::Device::make(loop_, map, index);
      if (!device) {
        give_back(index);
        return fail(device.error().in("tcp"));
      }
      auto* made = device->get();
      devices_[index] = std::move(*device);
      by_id_.insert_or_assign(map.id, made);
      const auto place = place_of(map);
      if (const auto open = ports_.find(place); open != ports_.end()) {
        if (auto added = open->second->add(*made); !added) return fail(added.error().in("tcp"));
        locals_.with([&](auto& locals) { locals.insert_or_assign(map.id, open->second->local()); });
        continue;
      }
      auto& group = groups[place];
      if (group.empty()) places.push_back(place);
      group.push_back(made);
    }
    for (const auto& place : places) {
      auto& group = groups[place];
      auto port = tcp::Port::make(loop_, group);
      if (!port) return fail(port.error().in("tcp"));
      if (auto open = (*port)->open(); !open) {
        left_.ports.push_back(std::move(*port));  // some of them may look at it once more
        return fail(open.error().in("tcp"));
      }
      locals_.with([&](auto& locals) {
        for (const auto* device : group) locals.insert_or_assign(device->id(), (*port)->local());
      });
      ports_.emplace(place, std::move(*port));
    }
    return {};
  }

  std::size_t free_place(const DeviceId& id) {
    auto index = devices_.size();
    if (free_.empty()) {
      devices_.emplace_back();
      touched_flags_.push_back(false);
    } else {
      index = free_.back();
      free_.pop_back();
    }
    loop_.status.with([&](auto& status) {
      status.resize(devices_.size());
      status[index] = {};
      status[index].device = id.text();
    });
    return index;
  }

  void give_back(std::size_t index) {
    loop_.status.with([&](auto& status) { status[index] = {}; });
    free_.push_back(index);
  }

  void retire(const DeviceId& id, std::string_view why) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    auto* device = found->second;
    by_id_.erase(found);
    locals_.with([&](auto& locals) { locals.erase(id); });
    const auto port = ports_.find(place_of(device->whole_map()));
    if (port != ports_.end() && port->second->has(*device)) {
      port->second->remove(*device, why);
      if (port->second->deserted()) {
        port->second->close();
        left_.ports.push_back(std::move(port->second));
        ports_.erase(port);
      }
    }
    device->retire(why);
    retired_.push_back(device);
  }

  // What is on its way in the loop may look at them once more, so they go behind it.
  void sweep() {
    std::erase_if(retired_, [this](const tcp::Device* device) {
      if (!device->finished()) return false;
      free_.push_back(device->index());
      left_.devices.push_back(std::move(devices_[device->index()]));
      left_.devices.back()->close();
      return true;
    });
    if (left_.ports.empty() && left_.devices.empty()) return;
    net::asio::post(loop_.inbox->io, [left = std::make_shared<Left>(std::exchange(left_, {}))] {});
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
    if (!retired_.empty()) sweep();
    if (loop_.stopping) finish_when_idle();
  }

  void take_deliveries() {
    std::vector<tcp::Delivery> deliveries;
    loop_.inbox->deliveries.take(deliveries);
    for (auto& [command, done] : deliveries) {
      const auto found = by_id_.find(command.device);
      if (found == by_id_.end()) {
        done(Outcome::released("the device's map has just been changed"));
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
    for (auto& [place, port] : ports_) port->stop_taking();
    for (auto& device : devices_) {
      if (device) device->stop_taking();
    }
    timer_.expires_at(deadline);
    timer_.async_wait([this](net::error_code error) {
      if (error != net::asio::error::operation_aborted) close_all();
    });
    finish_when_idle();
  }

  // Answers that are still out mean acknowledgements that still can be given.
  void finish_when_idle() {
    if (closed_ || loop_.offered > 0) return;
    for (const auto& [place, port] : ports_) {
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
    for (auto& [place, port] : ports_) port->close();
    for (auto& device : devices_) {
      if (device) device->close();
    }
    work_.reset();
  }

  std::vector<DeviceMap> maps_;  // before start
  tcp::Loop loop_;
  net::asio::steady_timer timer_;
  std::optional<net::asio::executor_work_guard<io_context::executor_type>> work_;
  std::vector<std::unique_ptr<tcp::Device>> devices_;  // null: a free place
  struct Left {
    std::vector<std::unique_ptr<tcp::Device>> devices;
    std::vector<std::unique_ptr<tcp::Port>> ports;
  };
  Left left_;
  std::vector<tcp::Device*> retired_;
  std::vector<std::size_t> free_;  // places in devices_
  // After the devices: their lines refer to them.
  std::unordered_map<std::string, std::unique_ptr<tcp::Port>> ports_;
  std::unordered_map<DeviceId, tcp::Device*> by_id_;
  Guarded<std::unordered_map<DeviceId, std::string>> locals_;
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

void TcpAdapter::change(DeviceChanges changes, std::function<void(Result<void>)> done) {
  impl_->change(std::move(changes), std::move(done));
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
