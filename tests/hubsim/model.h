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
#include "tests/hubsim/method_calls.h"

namespace trunkline::hubsim {

inline constexpr std::uint32_t kMaxFrameBytes = 65'536;
inline constexpr std::size_t kMaxMessageBytes = 1024 * 1024;  // of a link; the hub itself takes less

class HubConnection;
class Twin;
struct Device;

// "telemetry", "commands", ...: the word for a kind of link in requests and answers.
std::string_view kind_name(Address::Kind kind);

// One attached link. Owned by its connection, found by the engine's link context; everything on the hub's thread.
struct Link {
  std::uint64_t id = 0;  // never used again, the holder's number in a queue
  HubConnection* connection = nullptr;
  pn_link_t* handle = nullptr;
  Address::Kind kind = Address::Kind::unknown;
  bool hub_sends = false;
  std::shared_ptr<Device> device;
  std::string identity;              // of the grant that let it in
  std::deque<std::string> outbox;    // of a twin link: encoded messages that wait for credit
  std::vector<pn_delivery_t*> held;  // taken in, and the settlement withheld
};

enum class CbsMode { normal, delay, never };

// What a test asked to go wrong with one device, or with all.
struct Faults {
  bool withhold = false;
  bool zero_credit = false;
  int token_status = 0;  // 0: judge the token
  CbsMode cbs_mode = CbsMode::normal;
  Milliseconds cbs_delay{0};
  // The next attaches are refused so.
  unsigned attach_refusals = 0;
  // The next twin requests are answered with this status; 0: never.
  unsigned twin_refusals = 0;
  int twin_status = 500;
  std::string attach_link;  // kind_name of the links that are meant; empty: any
  amqp::Condition attach_condition;
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

// What the hub counted since its start.
struct Counters {
  std::size_t max_tokens_outstanding = 0;  // put-tokens whose answer was not sent yet, the most on one connection
  std::uint64_t expiry_detaches = 0;       // links
  std::uint64_t authorisation_errors = 0;  // put-tokens answered 401, attaches refused as unauthorised
  std::uint64_t attaches_refused = 0;
  std::uint64_t take_overs = 0;
  std::uint64_t redirects = 0;
  std::uint64_t method_answers_unmatched = 0;  // late, of no call, or without the call's uuid
};

// One device as the hub sees it.
struct Device {
  Device(std::string name, CommandQueue::Limits limits);
  ~Device();

  std::string id;
  CommandQueue queue;
  MethodCalls calls;
  const std::unique_ptr<Twin> twin;
  bool wants_desired = false;  // notifications, by the twin link's request
  // The newest receive link of each kind; it alone is served.
  Link* command_link = nullptr;
  Link* twin_link = nullptr;
  Link* method_link = nullptr;
  std::vector<Link*> links;
  Faults faults;
  std::deque<CommandRecord> history;
  std::uint64_t arrivals = 0;
  std::uint64_t refused = 0;
  std::uint64_t tokens = 0;
  std::uint64_t tokens_refused = 0;
  std::uint64_t attaches = 0;
  std::uint64_t attaches_refused = 0;
  std::uint64_t twin_requests = 0;
  std::uint64_t methods_sent = 0;
  std::uint64_t take_overs = 0;  // receive links that a newer one pushed out
  SteadyTime armed = kNever;     // the hub's timer for the queue

  [[nodiscard]] bool online() const { return method_link != nullptr; }
  // Where the newest receive link of the kind is kept; nullptr if receive links of this kind are not exclusive.
  Link** newest(Address::Kind kind);
};

}  // namespace trunkline::hubsim
