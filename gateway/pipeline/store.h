// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/metrics.h"
#include "gateway/core/message.h"
#include "gateway/core/outcome.h"
#include "gateway/core/uplink.h"
#include "gateway/pipeline/capacity.h"
#include "gateway/pipeline/spool.h"

namespace trunkline {

// A message that was offered and whose device waits for the answer.
struct Arrival {
  MessagePtr message;
  Completion<Admission> done;
};
// The multiplexer wants messages of a device behind `after`.
struct ReadRequest {
  DeviceSlot slot;
  DeviceId device;
  Position after;
  std::size_t limit = 0;
  std::size_t max_bytes = 0;
};
struct ReadAnswer {
  DeviceSlot slot;
  std::vector<MessagePtr> messages;  // in order
  bool more = false;                 // there are further ones behind the last
  bool failed = false;               // the disk did not answer; ask again later
};
// An outcome to be made durable before it goes up (C-01).
struct RecordRequest {
  CommandRecord record;
  Completion<struct Recorded> done;
};
struct Recorded {
  bool durable = false;
  static Recorded abandoned() { return {}; }
};
using StoreItem = std::variant<Arrival, Settlement, ReadRequest, RecordRequest>;

// Decides what is safe: takes batches of arrivals and settlements in their order, writes what must be written in one
// commit, and answers. A message that the hub accepted before its turn to be written is never written (architecture.md
// 3). Pure logic over a Spool: no thread, no clock. Owned and called by the store thread.
//
// While a commit fails nothing is acknowledged and nothing is forgotten: arrivals and settlements wait here for the
// next `process`, and reads are answered from file and waiting arrivals together.
class Store {
 public:
  Store(Spool& spool, Capacity& capacity, Metrics& metrics);

  struct Result {
    std::vector<ReadAnswer> reads;
    bool failed = false;  // the commit did not go through: process again after a while
  };
  // Takes the items (moved from), commits, completes. `now` is the wall time of settlement stamps.
  Result process(std::vector<StoreItem>& items, WallTime now);

  struct Status {
    Spool::Depth depth;
    std::uint64_t pending = 0;  // offered, not yet safe
    std::vector<Spool::DeviceDepth> devices;
    std::string fault;  // why the last commit failed, empty if it did not
  };
  [[nodiscard]] Status status() const;

 private:
  void take(Settlement settlement);
  bool commit(WallTime now);
  ReadAnswer read(const ReadRequest& request);

  Spool& spool_;
  Capacity& capacity_;
  std::deque<Arrival> arrivals_;                       // not yet safe, in order of position
  std::unordered_map<std::uint64_t, bool> unwritten_;  // position of an arrival -> accepted already
  std::vector<Settlement> settlements_;                // of written messages, and rejections of arrivals
  std::vector<RecordRequest> records_;
  std::string fault_;
  Metric& commits_;
  Metric& commit_failures_;
  Metric& written_;
  Metric& never_written_;
  Metric& dead_lettered_;
};

}  // namespace trunkline
