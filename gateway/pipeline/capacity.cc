// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/capacity.h"

namespace trunkline {
namespace {

// Never below nothing: a row of an older version may weigh less now than it did.
void take_off(std::uint64_t& from, std::uint64_t amount) {
  from -= std::min(from, amount);
}

}  // namespace

void Capacity::set_policy(const DeviceId& device, const DevicePolicy& policy) {
  std::lock_guard lock(mutex_);
  at(device).policy = policy;
}

DevicePolicy Capacity::policy(const DeviceId& device) const {
  std::lock_guard lock(mutex_);
  const auto found = devices_.find(device);
  return found == devices_.end() ? fallback_ : found->second.policy;
}

Capacity::Answer Capacity::reserve(const DeviceId& device, std::uint64_t bytes, DevicePolicy* policy) {
  std::lock_guard lock(mutex_);
  auto& own = at(device);
  if (policy != nullptr) *policy = own.policy;
  // One message always fits a device that holds none, or a share smaller than it would keep it out for ever.
  const bool over = own.messages > 0 && ((has_own_bytes(own) && own.bytes + bytes > most_bytes(own)) ||
                                         (has_own_messages(own) && own.messages + 1 > own.policy.max_messages));
  if (over && own.policy.on_full != OnFull::drop_oldest) return Answer::at_limit;
  if (own.passing == 0 && room(bytes)) {
    bytes_ += bytes;
    own.bytes += bytes;
    ++messages_;
    ++own.messages;
    return Answer::kept;
  }
  // Behind a message that passes, the next one passes too: acknowledgements keep their order (D-01).
  if (may_pass(own, bytes)) {
    ++own.passing;
    own.passing_bytes += bytes;
    passing_bytes_ += bytes;
    return Answer::passing;
  }
  return Answer::full;
}

void Capacity::occupy(const DeviceId& device, std::uint64_t bytes, std::uint64_t messages) {
  std::lock_guard lock(mutex_);
  auto& own = at(device);
  bytes_ += bytes;
  own.bytes += bytes;
  messages_ += messages;
  own.messages += messages;
}

void Capacity::give_back(const DeviceId& device, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  left(device, bytes);
}

bool Capacity::reserve_beside(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (failed_ || beside_bytes_ + bytes > limits_.beside_bytes || bytes_ + bytes > limits_.max_bytes) return false;
  beside_bytes_ += bytes;
  bytes_ += bytes;
  return true;
}

void Capacity::occupy_beside(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  beside_bytes_ += bytes;
  bytes_ += bytes;
}

void Capacity::give_back_beside(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  take_off(beside_bytes_, bytes);
  take_off(bytes_, bytes);
}

void Capacity::give_back(std::span<const Freed> freed) {
  std::lock_guard lock(mutex_);
  for (const auto& one : freed) left(one.device, one.bytes);
}

void Capacity::left(const DeviceId& device, std::uint64_t bytes) {
  auto& own = at(device);
  take_off(bytes_, bytes);
  take_off(own.bytes, bytes);
  take_off(messages_, 1);
  take_off(own.messages, 1);
}

void Capacity::left_passing(Device& device, std::uint64_t bytes) {
  take_off(passing_bytes_, bytes);
  take_off(device.passing_bytes, bytes);
  take_off(device.passing, 1);
}

void Capacity::give_back_passing(const DeviceId& device, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  left_passing(at(device), bytes);
}

bool Capacity::settle_in(const DeviceId& device, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (!room(bytes)) return false;
  auto& own = at(device);
  left_passing(own, bytes);
  bytes_ += bytes;
  own.bytes += bytes;
  ++messages_;
  ++own.messages;
  return true;
}

Capacity::Excess Capacity::excess(const DeviceId& device) const {
  std::lock_guard lock(mutex_);
  const auto found = devices_.find(device);
  if (found == devices_.end() || found->second.messages <= 1) return {};
  const auto& own = found->second;
  const auto most = most_bytes(own);
  Excess out;
  if (own.bytes > most) out.bytes = own.bytes - most;
  if (own.messages > own.policy.max_messages) out.messages = own.messages - own.policy.max_messages;
  return out;
}

void Capacity::set_failed(bool failed) {
  std::lock_guard lock(mutex_);
  failed_ = failed;
}
bool Capacity::failed() const {
  std::lock_guard lock(mutex_);
  return failed_;
}
void Capacity::set_flowing(const DeviceId& device, bool flowing) {
  std::lock_guard lock(mutex_);
  at(device).flowing = flowing;
}
std::uint64_t Capacity::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}
std::uint64_t Capacity::passing_bytes() const {
  std::lock_guard lock(mutex_);
  return passing_bytes_;
}

}  // namespace trunkline
