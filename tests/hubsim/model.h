// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/delivery.h>
#include <proton/link.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/amqp/engine.h"
#include "gateway/base/clock.h"
#include "tests/hubsim/address.h"
#include "tests/hubsim/command_queue.h"

namespace trunkline::hubsim {

inline constexpr std::size_t kMaxMessageBytes = 1024 * 1024;  // of a link; the hub itself takes less

class HubConnection;
struct Device;

// One attached link. Owned by its connection, found by the engine's link context; everything on the hub's thread.
struct Link {
  std::uint64_t id = 0;  // never used again, the holder's number in a queue
  HubConnection* connection = nullptr;
  pn_link_t* handle = nullptr;
  Address::Kind kind = Address::Kind::unknown;
  bool hub_sends = false;
  std::shared_ptr<Device> device;
  std::string identity;              // of the grant that let it in
  std::vector<pn_delivery_t*> held;  // taken in, and the settlement withheld
};

// What a test asked to go wrong with one device, or with all.
struct Faults {
  bool withhold = false;
  bool zero_credit = false;
  int token_status = 0;  // 0: judge the token
  // The next messages get this outcome.
  unsigned refusals = 0;
  Verdict refusal = Verdict::rejected;
  bool undeliverable_here = false;
  amqp::Condition condition;
};

// What became of a command, kept after it left the queue.
struct CommandRecord {
  std::uint64_t sequence = 0;
  std::string message_id;
  Fate fate = Fate::waiting;
  unsigned delivery_count = 0;
  amqp::Condition reason;  // of a rejection
};

// One device as the hub sees it.
struct Device {
  Device(std::string name, CommandQueue::Limits limits) : id(std::move(name)), queue(limits) {}

  std::string id;
  CommandQueue queue;
  Link* command_link = nullptr;  // the newest; it alone is served
  std::vector<Link*> links;
  Faults faults;
  std::deque<CommandRecord> history;
  std::uint64_t arrivals = 0;
  std::uint64_t refused = 0;
  std::uint64_t tokens = 0;
  std::uint64_t tokens_refused = 0;
  std::uint64_t attaches = 0;
  SteadyTime armed = kNever;  // the hub's timer for the queue
};

}  // namespace trunkline::hubsim
