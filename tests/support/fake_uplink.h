// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gateway/core/token.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/multiplexer.h"

namespace trunkline::test {

// Records what the multiplexer asks of the hub; the test plays the hub by calling the multiplexer's events. One record
// for all connections: a device is on one of them only.
class FakeUplink final : public UplinkFactory {
 public:
  struct Transfer {
    DeviceSlot slot;
    MessagePtr message;
    ConnectionSlot connection{};
  };
  struct Settled {
    CommandTag tag;
    Outcome outcome;
  };

  Uplink& uplink(ConnectionSlot connection) override {
    return *ports_.emplace_back(std::make_unique<Port>(*this, connection));
  }
  struct Responded {
    MethodTag tag;
    MethodResponse response;
  };
  void settle(CommandTag tag, const Outcome& outcome) { settled.push_back({tag, outcome}); }

  unsigned opens = 0;
  unsigned closes = 0;
  unsigned aborts = 0;
  std::vector<ConnectionSlot> opening;  // asked for and not answered by the test yet
  std::vector<ConnectionSlot> ending;
  bool credit = false;  // true: credit_left bounds all devices together
  unsigned credit_left = 0;
  std::set<std::uint32_t> no_credit;
  std::vector<DeviceSlot> authorised;
  std::map<DeviceSlot, std::string> tokens;  // the last one
  std::vector<std::pair<DeviceSlot, DeviceLink>> attached;
  std::vector<DeviceSlot> detached;
  std::map<DeviceSlot, ConnectionSlot> place;  // where it was authorised last
  std::vector<Transfer> sent;
  std::vector<std::pair<DeviceSlot, unsigned>> grants;
  std::vector<Settled> settled;
  std::vector<Responded> responded;
  std::vector<std::pair<DeviceSlot, TwinRequest>> asked;

 private:
  class Port final : public Uplink {
   public:
    Port(FakeUplink& all, ConnectionSlot own) : all_(all), own_(own) {}
    void open() override {
      ++all_.opens;
      all_.opening.push_back(own_);
    }
    void authorise(DeviceSlot slot, const DeviceId&, Token token) override {
      all_.authorised.push_back(slot);
      all_.tokens[slot] = std::string(token.text.reveal());
      all_.place[slot] = own_;
    }
    void attach(DeviceSlot slot, DeviceLink link) override { all_.attached.emplace_back(slot, link); }
    void detach(DeviceSlot slot) override { all_.detached.push_back(slot); }
    SendResult send(DeviceSlot slot, const MessagePtr& message) override {
      if (all_.no_credit.contains(slot.value)) return SendResult::no_credit;
      if (all_.credit && all_.credit_left == 0) return SendResult::no_credit;
      if (all_.credit) --all_.credit_left;
      all_.sent.push_back({slot, message, own_});
      return SendResult::sent;
    }
    void grant_commands(DeviceSlot slot, unsigned value) override { all_.grants.emplace_back(slot, value); }
    void settle(CommandTag tag, const Outcome& outcome) override { all_.settle(tag, outcome); }
    void respond(MethodTag tag, const MethodResponse& response) override { all_.responded.push_back({tag, response}); }
    bool ask_twin(DeviceSlot slot, const TwinRequest& request) override {
      all_.asked.emplace_back(slot, request);
      return true;
    }
    void close() override {
      ++all_.closes;
      all_.ending.push_back(own_);
    }
    void abort(LinkFault) override {
      ++all_.aborts;
      all_.ending.push_back(own_);
    }

   private:
    FakeUplink& all_;
    ConnectionSlot own_;
  };
  std::vector<std::unique_ptr<Port>> ports_;
};

class FakeTokens final : public TokenProvider {
 public:
  Result<Token> token(const DeviceId& device, KeyChoice key, WallTime now) const override {
    if (key == KeyChoice::secondary && !secondary.contains(device.text())) return fail(ErrorCode::not_found, "none");
    if (unknown.contains(device.text())) return fail(ErrorCode::not_found, device.text() + " has no identity");
    return Token{"hub/devices/" + device.text(), Secret(std::string(to_string(key))), now + life};
  }
  std::set<std::string> unknown;
  std::set<std::string> secondary;  // devices that have one
  Milliseconds life{3'600'000};
};

class FakeStoreRequests final : public StoreRequests {
 public:
  void flowing(const DeviceId& device, bool flows) override { flow[device.text()] = flows; }
  void settle(Settlement settlement) override { settled.push_back(std::move(settlement)); }
  void read(ReadRequest request) override { reads.push_back(std::move(request)); }
  std::map<std::string, bool> flow;
  std::vector<Settlement> settled;
  std::vector<ReadRequest> reads;
};

// Takes everything that comes from the hub.
class FakeCommands final : public CommandSink, public MethodSink, public TwinSink {
 public:
  void on_command(DeviceSlot slot, Command command, CommandTag tag) override {
    commands.push_back({slot, std::move(command), tag});
  }
  void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) override {
    methods.push_back({slot, std::move(call), tag});
  }
  void on_callers_lost(ConnectionSlot) override { ++callers_lost; }
  void on_twin_link(DeviceSlot slot, bool attached) override { twin_links.emplace_back(slot, attached); }
  void on_twin_answer(DeviceSlot slot, TwinAnswer answer) override { answers.emplace_back(slot, std::move(answer)); }
  void on_desired(DeviceSlot slot, std::string patch) override { desired.emplace_back(slot, std::move(patch)); }
  struct Called {
    DeviceSlot slot;
    MethodCall call;
    MethodTag tag;
  };
  std::vector<Called> methods;
  unsigned callers_lost = 0;
  std::vector<std::pair<DeviceSlot, bool>> twin_links;
  std::vector<std::pair<DeviceSlot, TwinAnswer>> answers;
  std::vector<std::pair<DeviceSlot, std::string>> desired;
  struct Received {
    DeviceSlot slot;
    Command command;
    CommandTag tag;
  };
  std::vector<Received> commands;
};

inline DeviceId device_id(const std::string& text) {
  return *DeviceId::parse(text);
}

inline MessagePtr message(const std::string& device, std::uint64_t sequence, std::string body = "x",
                          std::uint64_t run = 1) {
  return std::make_shared<Message>(
      Message{Position::make(run, sequence), WallTime{},
              Telemetry{device_id(device), std::move(body), "text/plain", {}, {}, {}, Source::tcp}});
}

}  // namespace trunkline::test
