// SPDX-License-Identifier: Apache-2.0
#include "tests/support/trunk_driver.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace trunkline::test {

namespace asio = boost::asio;

TrunkDriver::TrunkDriver(hub::HubLink::Options link, Multiplexer::Options options, const TokenProvider& tokens)
    : link_options_(std::move(link)), mux_(*this, *this, tokens, Sinks(*this, *this, *this), metrics_, options, 1) {}

TrunkDriver::~TrunkDriver() {
  mux_.stop();
  mux_.close();
  until([this] { return mux_.closed(); }, std::chrono::seconds(5));
}

DeviceSlot TrunkDriver::add(const std::string& id, SessionOptions session, Presence presence) {
  const auto device = *DeviceId::parse(id);
  mux_.set_time(clock_.steady());
  const auto slot = mux_.add(device, session, false);
  if (slot.value >= devices_.size()) devices_.resize(slot.value + 1);
  devices_[slot.value].id = id;
  mux_.presence(device, presence);
  schedule();
  return slot;
}

std::uint64_t TrunkDriver::say(DeviceSlot slot, std::string body) {
  auto& device = devices_.at(slot.value);
  ++device.said;
  auto message = std::make_shared<Message>(Message{
      Position::make(1, ++sequence_), clock_.wall(),
      Telemetry{*DeviceId::parse(device.id), std::move(body), "application/json", "utf-8", {}, {}, Source::tcp}});
  kept_.emplace(message->position.value, Kept{message, slot, clock_.steady()});
  act([&] { mux_.offer(std::move(message)); });
  return sequence_;
}

bool TrunkDriver::until(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto deadline = clock_.steady() + limit;
  schedule();
  while (!done()) {
    io_.restart();
    if (io_.run_one_until(deadline) == 0 && clock_.steady() >= deadline) return done();
  }
  return true;
}

void TrunkDriver::every(std::chrono::milliseconds interval, std::function<void()> task) {
  interval_ = interval;
  task_ = std::move(task);
  ticker_.cancel();
  if (!task_) return;
  ticker_.expires_at(clock_.steady() + interval_);
  arm_ticker();
}

void TrunkDriver::arm_ticker() {
  ticker_.async_wait([this](boost::system::error_code failed) {
    if (failed || !task_) return;
    task_();
    ticker_.expires_at(ticker_.expiry() + interval_);
    arm_ticker();
  });
}

TrunkDriver::Latency TrunkDriver::latency(const std::function<bool(DeviceSlot)>& which) const {
  std::vector<float> values;
  for (const auto& sample : samples_) {
    if (!which || which(sample.slot)) values.push_back(sample.milliseconds);
  }
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return static_cast<double>(values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))]);
  };
  return {at(0.5), at(0.99), static_cast<double>(values.back()), values.size()};
}

void TrunkDriver::start_latencies() {
  timing_ = true;
  samples_.clear();
  samples_.reserve(1 << 20);
}

Multiplexer::DeviceStatus TrunkDriver::status(DeviceSlot slot) const {
  const auto all = mux_.status();
  const auto found = std::find_if(all.devices.begin(), all.devices.end(),
                                  [&](const auto& one) { return one.device.text() == devices_.at(slot.value).id; });
  return *found;
}

Uplink& TrunkDriver::uplink(ConnectionSlot connection) {
  auto options = link_options_;
  options.connection = connection;
  auto& made = uplinks_.emplace_back(std::make_unique<hub::HubLink>(io_, std::move(options), clock_, metrics_));
  made->set_events(*this);
  return *made;
}

void TrunkDriver::act(const std::function<void()>& what) {
  mux_.set_time(clock_.steady());
  what();
  schedule();
}

void TrunkDriver::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  asio::post(io_, [this] {
    scheduled_ = false;
    pump();
  });
}

void TrunkDriver::pump() {
  const auto deadline = mux_.tick(clock_.steady(), clock_.wall());
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

void TrunkDriver::on_ready(ConnectionSlot connection) {
  act([&] { mux_.on_ready(connection); });
}
void TrunkDriver::on_lost(ConnectionSlot connection, LinkFault fault) {
  act([&] { mux_.on_lost(connection, std::move(fault)); });
}
void TrunkDriver::on_authorised(DeviceSlot slot) {
  act([&] { mux_.on_authorised(slot); });
}
void TrunkDriver::on_refused(DeviceSlot slot, LinkFault fault) {
  act([&] { mux_.on_refused(slot, std::move(fault)); });
}
void TrunkDriver::on_attached(DeviceSlot slot, DeviceLink link) {
  ++attached_;
  act([&] { mux_.on_attached(slot, link); });
}
void TrunkDriver::on_detached(DeviceSlot slot, DeviceLink link, LinkFault fault) {
  act([&] { mux_.on_detached(slot, link, std::move(fault)); });
}
void TrunkDriver::on_sendable(DeviceSlot slot) {
  mux_.on_sendable(slot);
  schedule();
}
void TrunkDriver::on_outcome(DeviceSlot slot, Position position, Outcome outcome) {
  mux_.on_outcome(slot, position, std::move(outcome));
  schedule();
}
void TrunkDriver::on_command(DeviceSlot slot, Command command, CommandTag tag) {
  ++commands_;
  act([&] {
    mux_.on_command(slot, std::move(command), tag);
    mux_.settle(tag, Outcome::accepted());
    mux_.command_finished(slot, Outcome::Kind::accepted);
  });
}

void TrunkDriver::on_method(DeviceSlot, MethodCall call, MethodTag tag) {
  mux_.respond(tag, {200, std::move(call.payload)});
}

void TrunkDriver::settle(Settlement settlement) {
  const auto kept = kept_.find(settlement.message->position.value);
  const auto slot = kept->second.slot;
  const std::chrono::duration<float, std::milli> took = clock_.steady() - kept->second.said_at;
  kept_.erase(kept);
  if (settlement.outcome.kind != Outcome::Kind::accepted) {
    ++rejected_;
    return;
  }
  ++accepted_;
  ++devices_[slot.value].accepted;
  if (timing_) samples_.push_back({slot, took.count()});
}

void TrunkDriver::read(ReadRequest request) {
  // Answered from the loop, as the store does.
  asio::post(io_, [this, request = std::move(request)] {
    ReadAnswer answer{request.slot, {}, false, false};
    for (auto at = kept_.upper_bound(request.after.value); at != kept_.end(); ++at) {
      if (at->second.slot != request.slot) continue;
      if (answer.messages.size() == request.limit) {
        answer.more = true;
        break;
      }
      answer.messages.push_back(at->second.message);
    }
    act([&] { mux_.on_batch(std::move(answer)); });
  });
}

}  // namespace trunkline::test
