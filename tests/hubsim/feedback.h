// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "tests/hubsim/command_queue.h"

namespace trunkline::hubsim {

// One line of a feedback message.
struct FeedbackRecord {
  std::string message_id;
  std::string device;
  std::string status;  // Success, Rejected, Expired, DeliveryCountExceeded, Purged
  std::string generation;
  WallTime time{};
};

// The record that iothub-ack asks for, if it asks for one (section 6.4). Without a message-id there is nothing to
// correlate. Pure.
std::optional<FeedbackRecord> feedback_for(const CommandQueue::Item& item, const std::string& device, WallTime now);

// Collects records and says when a batch is to leave: at 64 records, or the delay after the last batch. Pure.
class FeedbackBatcher {
 public:
  explicit FeedbackBatcher(Milliseconds delay) : delay_(delay) {}

  void set_delay(Milliseconds delay) { delay_ = delay; }
  void add(FeedbackRecord record) { records_.push_back(std::move(record)); }
  // The records of a batch that is due, else none.
  std::vector<FeedbackRecord> take_due(SteadyTime now);
  [[nodiscard]] SteadyTime deadline() const;

 private:
  Milliseconds delay_;
  SteadyTime last_{};
  std::vector<FeedbackRecord> records_;
};

// The JSON array that is a feedback message's body.
std::string feedback_body(const std::vector<FeedbackRecord>& records);

}  // namespace trunkline::hubsim
