// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/base/guarded.h"
#include "gateway/base/mailbox.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/net/connect.h"

namespace trunkline::tcp {

class Line;

// What the ingress said of one message, on its way to the loop's thread.
struct Answer {
  std::size_t device = 0;
  std::uint64_t number = 0;
  Admission admission;
};

// A command on its way to the loop's thread.
struct Delivery {
  Command command;
  Completion<Outcome> done;
};

// The loop and what reaches it from other threads. Shared with every completion that is out, so that an answer that
// comes after the adapter has gone falls into a mailbox that nobody reads.
struct Inbox {
  net::asio::io_context io{1};
  Mailbox<Answer> answers;
  Mailbox<Delivery> deliveries;
};

struct Counters {
  explicit Counters(Metrics& metrics);
  Metric& connections;
  Metric& lines;
  Metric& overlong;
  Metric& refused;
  Metric& throttled;
  Metric& acknowledged;
  Metric& cut_off;
  Metric& noise;
  Metric& check_failed;
  Metric& malformed;
  Metric& timeouts;
  Metric& stray_replies;
  Metric& heartbeats;
  Metric& unknown;
  Metric& unknown_frames;
  Metric& turned_away;
  Metric& silent;
  Metric& dials;
  Metric& dial_failures;
  Metric& polls_unanswered;
};

// What all of the adapter shares; the loop's thread only, but for the guarded members.
struct Loop {
  std::shared_ptr<Inbox> inbox;
  const Clock& clock;
  Counters counters;
  Ingress* ingress = nullptr;
  bool stopping = false;
  std::size_t offered = 0;                           // messages that are with the ingress
  std::size_t connected = 0;                         // connections
  std::unordered_map<std::uint64_t, Line*> lines{};  // by their numbers
  std::uint64_t last_number = 0;                     // of a connection
  std::function<void()> on_idle;                     // while stopping: something ended
  Guarded<std::vector<AdapterDeviceStatus>> status;
  Guarded<std::vector<std::string>> unknown;  // a bounded sample of peers that are nobody
};

// What waits for a peer that does not read. Beyond it commands are released and nothing is read.
constexpr std::size_t kMaxQueued = 256 * 1024;

}  // namespace trunkline::tcp
