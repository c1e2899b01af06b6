// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/put_tokens.h"

#include <algorithm>
#include <charconv>

namespace trunkline::hub {

void PutTokens::request(DeviceSlot slot, Token token, SteadyTime now) {
  cancel(slot);
  if (waiting_.empty() && outstanding_.empty()) progress_ = now;
  waiting_.push_back({slot, std::move(token)});
}

void PutTokens::cancel(DeviceSlot slot) {
  std::erase_if(waiting_, [slot](const Waiting& waiting) { return waiting.slot == slot; });
  for (auto& [number, outstanding] : outstanding_) {
    if (outstanding.slot == slot) outstanding.slot.reset();
  }
}

std::optional<PutTokens::Request> PutTokens::next(SteadyTime now) {
  if (waiting_.empty() || outstanding_.size() >= limits_.window) return std::nullopt;
  Request request;
  request.number = ++last_number_;
  request.message_id = message_id(request.number);
  request.slot = waiting_.front().slot;
  request.token = std::move(waiting_.front().token);
  waiting_.pop_front();
  outstanding_[request.number] = {request.slot, now + limits_.timeout};
  progress_ = now;
  return request;
}

std::optional<DeviceSlot> PutTokens::answered(std::string_view id, SteadyTime now) {
  const auto dash = id.rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  std::from_chars(id.data() + dash + 1, id.data() + id.size(), number);
  if (id != message_id(number)) return std::nullopt;
  return ended(number, now);
}

std::optional<DeviceSlot> PutTokens::ended(std::uint64_t number, SteadyTime now) {
  const auto found = outstanding_.find(number);
  if (found == outstanding_.end()) return std::nullopt;
  const auto slot = found->second.slot;
  outstanding_.erase(found);
  unanswered_ = 0;
  progress_ = now;
  return slot;
}

std::vector<DeviceSlot> PutTokens::expire(SteadyTime now) {
  std::vector<DeviceSlot> expired;
  while (!outstanding_.empty() && outstanding_.begin()->second.deadline <= now) {
    if (const auto slot = outstanding_.begin()->second.slot) expired.push_back(*slot);
    outstanding_.erase(outstanding_.begin());
    ++unanswered_;
    progress_ = now;  // there is room again
  }
  return expired;
}

SteadyTime PutTokens::deadline() const {
  if (!outstanding_.empty()) return outstanding_.begin()->second.deadline;
  return waiting_.empty() ? kNever : progress_ + limits_.timeout;
}

bool PutTokens::stalled(SteadyTime now) const {
  if (unanswered_ >= limits_.stalled_after) return true;
  // Nothing outstanding and still not written: the hub gives $cbs no credit.
  return outstanding_.empty() && !waiting_.empty() && now >= progress_ + limits_.timeout;
}

std::string PutTokens::message_id(std::uint64_t number) const {
  return prefix_ + "-" + std::to_string(number);
}

}  // namespace trunkline::hub
