// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/feedback.h"

#include "gateway/base/json.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kBatch = 64;

std::string_view status_of(Fate fate) {
  switch (fate) {
    case Fate::completed:
      return "Success";
    case Fate::rejected:
      return "Rejected";
    case Fate::expired:
      return "Expired";
    case Fate::delivery_count_exceeded:
      return "DeliveryCountExceeded";
    case Fate::purged:
      return "Purged";
    case Fate::waiting:
    case Fate::locked:
      break;
  }
  return {};
}

}  // namespace

std::optional<FeedbackRecord> feedback_for(const CommandQueue::Item& item, const std::string& device, WallTime now) {
  const auto status = status_of(item.fate);
  const bool good = item.fate == Fate::completed;
  const bool wanted = item.ack == "full" || item.ack == (good ? "positive" : "negative");
  if (!wanted || status.empty() || item.message.message_id.empty()) return std::nullopt;
  FeedbackRecord record;
  record.message_id = item.message.message_id;
  record.device = device;
  record.status = status;
  record.time = now;
  return record;
}

std::vector<FeedbackRecord> FeedbackBatcher::take_due(SteadyTime now) {
  if (records_.empty() || deadline() > now) return {};
  last_ = now;
  std::vector<FeedbackRecord> batch;
  const auto count = static_cast<std::ptrdiff_t>(std::min(records_.size(), kBatch));
  batch.assign(std::make_move_iterator(records_.begin()), std::make_move_iterator(records_.begin() + count));
  records_.erase(records_.begin(), records_.begin() + count);
  return batch;
}

SteadyTime FeedbackBatcher::deadline() const {
  if (records_.empty()) return kNever;
  return records_.size() >= kBatch ? SteadyTime::min() : last_ + delay_;
}

std::string feedback_body(const std::vector<FeedbackRecord>& records) {
  json::array list;
  for (const auto& record : records) {
    list.push_back(json::object{{"originalMessageId", record.message_id},
                                {"enqueuedTimeUtc", to_rfc3339(record.time)},
                                {"statusCode", record.status},
                                {"description", record.status},
                                {"deviceId", record.device.substr(0, record.device.find('/'))},
                                {"deviceGenerationId", record.generation}});
  }
  return json::serialize(list);
}

}  // namespace trunkline::hubsim
