// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/hub/hub_link.h"
#include "tests/hubsim/hub_server.h"
#include "tests/support/catch.h"

namespace trunkline::tests {

// What happened to one device, in order.
struct DeviceEvents {
  int authorised = 0;
  std::vector<LinkFault> refused;
  std::map<DeviceLink, int> attached;
  std::vector<std::pair<DeviceLink, LinkFault>> detached;
  int sendable = 0;
  std::vector<std::pair<Position, Outcome>> outcomes;
  std::vector<std::pair<Command, CommandTag>> commands;
  std::vector<std::pair<MethodCall, MethodTag>> methods;
  std::vector<TwinAnswer> answers;
  std::vector<std::string> desired;
};

// The real HubLink against the simulator in process: the test's thread runs HubLink's loop, the simulator has its own.
class Rig : public UplinkEvents {
 public:
  explicit Rig(const std::function<void(hub::HubLink::Options&)>& adjust = {},
               const std::function<void(hubsim::HubOptions&)>& adjust_hub = {});
  ~Rig() override;

  // Runs the loop until `done`, or for the limit.
  bool until(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds(20));
  void run_for(std::chrono::milliseconds time);

  void connect();                                                          // open, and on_ready
  DeviceSlot add(const std::string& id);                                   // registered at the simulator
  void authorise(DeviceSlot slot);                                         // asks only
  void online(DeviceSlot slot, DeviceLink which = DeviceLink::telemetry);  // authorised and attached
  MessagePtr reading(DeviceSlot slot, const std::string& body);
  Uplink::SendResult send(DeviceSlot slot, const std::string& body);
  // An operation of the simulator's control socket that must succeed; the answer.
  std::string control(const std::string& request);
  DeviceEvents& events(DeviceSlot slot) { return devices_.at(slot.value).events; }
  const DeviceId& id(DeviceSlot slot) { return devices_.at(slot.value).id; }
  void wrong_key(DeviceSlot slot);

  void on_ready(ConnectionSlot) override { ++ready; }
  void on_lost(ConnectionSlot, LinkFault fault) override;
  void on_authorised(DeviceSlot slot) override { ++events(slot).authorised; }
  void on_refused(DeviceSlot slot, LinkFault fault) override { events(slot).refused.push_back(std::move(fault)); }
  void on_attached(DeviceSlot slot, DeviceLink which) override { ++events(slot).attached[which]; }
  void on_detached(DeviceSlot slot, DeviceLink which, LinkFault fault) override;
  void on_sendable(DeviceSlot slot) override { ++events(slot).sendable; }
  void on_outcome(DeviceSlot slot, Position position, Outcome outcome) override {
    events(slot).outcomes.emplace_back(position, std::move(outcome));
  }
  void on_command(DeviceSlot slot, Command command, CommandTag tag) override {
    events(slot).commands.emplace_back(std::move(command), tag);
  }

  void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) override {
    events(slot).methods.emplace_back(std::move(call), tag);
  }
  void on_twin_answer(DeviceSlot slot, TwinAnswer answer) override {
    events(slot).answers.push_back(std::move(answer));
  }
  void on_desired(DeviceSlot slot, std::string patch) override { events(slot).desired.push_back(std::move(patch)); }

  int ready = 0;
  std::vector<LinkFault> lost;
  std::function<void()> when_lost;                // called within on_lost
  std::function<void(DeviceSlot)> when_detached;  // called within on_detached

 private:
  struct Device {
    DeviceId id;
    std::string key;
    DeviceEvents events;
  };

 public:
  std::filesystem::path directory;
  std::unique_ptr<hubsim::HubServer> server;
  boost::asio::io_context io;
  SystemClock clock;
  Metrics metrics;
  std::unique_ptr<hub::HubLink> link;

 private:
  std::vector<Device> devices_;
  std::uint64_t last_sequence_ = 0;
};

}  // namespace trunkline::tests
