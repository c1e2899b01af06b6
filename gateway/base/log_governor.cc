// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/log_governor.h"

#include <algorithm>
#include <utility>

namespace trunkline::log {

bool Governor::Bucket::has(SteadyTime now) {
  if (filled) {
    const std::chrono::duration<double> since = now - *filled;
    tokens = std::min(burst, tokens + std::max(0.0, since.count()) * per_second);
  }
  filled = now;
  return tokens >= 1;
}

Governor::Event& Governor::event_of(std::string_view event, bool grave) {
  const double every = static_cast<double>((grave ? kGraveEvery : kStoryEvery).count());
  const auto name = events_.size() < kEvents ? std::string(event) : std::string();
  return events_.try_emplace(name, Event{{kEventBurst, 1 / every}}).first->second;
}

Governor::Verdict Governor::admit(std::string_view event, std::string_view subject, bool grave, SteadyTime now) {
  Verdict verdict;
  sweep(now, verdict.omitted);
  auto& kind = event_of(event, grave);
  std::string key(event);
  key += '\n';
  key += subject.substr(0, 256);
  auto found = subjects_.find(key);
  const bool first = found == subjects_.end() && subjects_.size() < kSubjects;
  if (first) found = subjects_.emplace(std::move(key), Subject{&kind, now, now}).first;
  auto* const watched = found == subjects_.end() ? nullptr : &found->second;
  if (watched != nullptr) watched->seen = now;

  const bool too_often = watched != nullptr && watched->written >= kRepeats;
  if (too_often || !(first || kind.repeats.has(now))) {
    ++(watched != nullptr ? watched->omitted : kind.omitted);
    verdict.write = false;
    return verdict;
  }
  auto& bucket = grave ? grave_ : story_;
  if (!bucket.has(now)) {
    ++bucket.omitted;
    verdict.write = false;
    return verdict;
  }
  bucket.take();
  if (!first) kind.repeats.take();
  if (watched != nullptr) ++watched->written;
  if (bucket.omitted > 0) verdict.omitted.push_back({{}, {}, std::exchange(bucket.omitted, 0)});
  return verdict;
}

// Whose window is over starts anew, and what it left out is said: by name, or together with the others.
void Governor::sweep(SteadyTime now, std::vector<Omitted>& out) {
  if (now - swept_ < std::chrono::seconds(1)) return;
  swept_ = now;
  const auto forget = subjects_.size() < kSubjects ? kForget : kWindow;
  for (auto at = subjects_.begin(); at != subjects_.end();) {
    auto& one = at->second;
    if (now - one.began < kWindow) {
      ++at;
      continue;
    }
    if (one.omitted > 0) {
      if (one.event->repeats.has(now)) {
        one.event->repeats.take();
        const auto end = at->first.find('\n');
        out.push_back({at->first.substr(0, end), at->first.substr(end + 1), one.omitted});
      } else {
        one.event->omitted += one.omitted;
        ++one.event->subjects;
      }
    }
    one.began = now;
    one.written = 0;
    one.omitted = 0;
    at = now - one.seen >= forget ? subjects_.erase(at) : std::next(at);
  }
  for (auto& [name, event] : events_) {
    if (event.omitted == 0 || (event.told && now - *event.told < kSummary)) continue;
    event.told = now;
    out.push_back({name, {}, std::exchange(event.omitted, 0), std::exchange(event.subjects, 0)});
  }
}

}  // namespace trunkline::log
