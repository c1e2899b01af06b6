// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/log_governor.h"

#include <algorithm>
#include <utility>

namespace trunkline::log {

bool Governor::Bucket::take(SteadyTime now) {
  if (filled) {
    const std::chrono::duration<double> since = now - *filled;
    tokens = std::min(kBurst, tokens + std::max(0.0, since.count()) * kPerSecond);
  }
  filled = now;
  if (tokens < 1) {
    ++omitted;
    return false;
  }
  tokens -= 1;
  return true;
}

Governor::Verdict Governor::admit(std::string_view event, std::string_view subject, bool grave, SteadyTime now) {
  Verdict verdict;
  sweep(now, verdict.omitted);
  auto& bucket = grave ? grave_ : story_;
  if (auto* const watched = watch(event, subject, now)) {
    if (watched->written >= kRepeats) {
      ++watched->omitted;
      verdict.write = false;
      return verdict;
    }
    ++watched->written;
  }
  verdict.write = bucket.take(now);
  if (verdict.write && bucket.omitted > 0) verdict.omitted.push_back({{}, {}, std::exchange(bucket.omitted, 0)});
  return verdict;
}

// Whose window is over starts anew, and what it left out is said.
void Governor::sweep(SteadyTime now, std::vector<Omitted>& out) {
  if (now - swept_ < std::chrono::seconds(1)) return;
  swept_ = now;
  for (auto at = subjects_.begin(); at != subjects_.end();) {
    if (now - at->second.began < kWindow) {
      ++at;
      continue;
    }
    if (at->second.omitted > 0) {
      const auto end = at->first.find('\n');
      out.push_back({at->first.substr(0, end), at->first.substr(end + 1), at->second.omitted});
    }
    at = subjects_.erase(at);
  }
}

Governor::Subject* Governor::watch(std::string_view event, std::string_view subject, SteadyTime now) {
  std::string key(event);
  key += '\n';
  key += subject.substr(0, 256);
  if (const auto there = subjects_.find(key); there != subjects_.end()) return &there->second;
  if (subjects_.size() >= kSubjects) return nullptr;
  return &subjects_.emplace(std::move(key), Subject{now, 0, 0}).first->second;
}

}  // namespace trunkline::log
