// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "gateway/core/adapter.h"

namespace trunkline::test {

// Stands in for intake: keeps what adapters hand over and holds each completion until the test answers it, or answers
// at once by a rule. Any thread; completions are called outside the lock, on the thread of whoever answers. Must
// outlive the adapter; what is still held at the end is answered as abandoned.
class FakeIngress final : public Ingress {
 public:
  using Rule = std::function<Admission(const Telemetry&)>;
  static constexpr std::chrono::seconds kPatience{20};

  void submit(Telemetry telemetry, Completion<Admission> done) override {
    Rule rule;
    {
      std::lock_guard lock(mutex_);
      received_.push_back(telemetry);
      rule = rule_;
      if (!rule) held_.push_back(std::move(done));
    }
    changed_.notify_all();
    if (rule) done(rule(telemetry));
  }

  void presence(const DeviceId& device, Presence presence) override {
    {
      std::lock_guard lock(mutex_);
      presence_[device] = presence;
      presence_history_.emplace_back(device, presence);
    }
    changed_.notify_all();
  }

  Result<void> report(const DeviceId& device, std::string_view patch) override {
    {
      std::lock_guard lock(mutex_);
      if (!patch.starts_with('{')) return fail(ErrorCode::invalid, "no JSON object");
      reports_.emplace_back(device, patch);
    }
    changed_.notify_all();
    return {};
  }
  [[nodiscard]] std::vector<std::pair<DeviceId, std::string>> reports() const {
    std::lock_guard lock(mutex_);
    return reports_;
  }
  bool wait_reports(std::size_t count, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return reports_.size() >= count; });
  }

  [[nodiscard]] Result<Secret> handshake_key(const DeviceId& device) const override {
    std::lock_guard lock(mutex_);
    const auto found = keys_.find(device);
    if (found != keys_.end()) return found->second;
    return fail(ErrorCode::not_found, "no key");
  }
  // An empty key takes it away.
  void set_key(const DeviceId& device, const std::string& key) {
    std::lock_guard lock(mutex_);
    keys_.erase(device);
    if (!key.empty()) keys_.emplace(device, Secret(key));
  }

  // From now on submissions are answered at once, on the submitting thread; an empty rule holds them again. What is
  // held already stays so.
  void answer_by(Rule rule) {
    std::lock_guard lock(mutex_);
    rule_ = std::move(rule);
  }

  // Answers the `index`-th of the held completions, oldest first; false if there is none.
  bool answer(Admission admission, std::size_t index = 0) {
    Completion<Admission> done;
    {
      std::lock_guard lock(mutex_);
      if (index >= held_.size()) return false;
      done = std::move(held_[index]);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
    }
    done(std::move(admission));
    return true;
  }

  // Answers all that are held, oldest first; returns how many.
  std::size_t answer_all(const Admission& admission) {
    std::deque<Completion<Admission>> held;
    {
      std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& done : held) done(admission);
    return held.size();
  }

  [[nodiscard]] std::vector<Telemetry> received() const {
    std::lock_guard lock(mutex_);
    return received_;
  }
  [[nodiscard]] std::vector<std::string> bodies() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& telemetry : received_) out.push_back(telemetry.body);
    return out;
  }
  [[nodiscard]] std::size_t count() const {
    std::lock_guard lock(mutex_);
    return received_.size();
  }
  [[nodiscard]] std::size_t held() const {
    std::lock_guard lock(mutex_);
    return held_.size();
  }
  [[nodiscard]] Presence presence_of(const DeviceId& device) const {
    std::lock_guard lock(mutex_);
    return presence_locked(device);
  }
  [[nodiscard]] std::vector<std::pair<DeviceId, Presence>> presence_history() const {
    std::lock_guard lock(mutex_);
    return presence_history_;
  }

  // Each waits until it is so, or for `patience`; the answer says whether it came to be so.
  bool wait_count(std::size_t count, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return received_.size() >= count; });
  }
  bool wait_held(std::size_t count, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return held_.size() >= count; });
  }
  bool wait_presence(const DeviceId& device, Presence presence, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return presence_locked(device) == presence; });
  }

 private:
  [[nodiscard]] Presence presence_locked(const DeviceId& device) const {
    const auto found = presence_.find(device);
    return found == presence_.end() ? Presence::away : found->second;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Rule rule_;
  std::vector<Telemetry> received_;
  std::deque<Completion<Admission>> held_;
  std::vector<std::pair<DeviceId, std::string>> reports_;
  std::map<DeviceId, Presence> presence_;
  std::map<DeviceId, Secret> keys_;
  std::vector<std::pair<DeviceId, Presence>> presence_history_;
};

}  // namespace trunkline::test
