// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/base/clock.h"

namespace trunkline::log {

// Keeps the journal readable and the flash alive whatever devices, brokers or the hub do. Who is in trouble is said at
// once; what repeats is said ten times a minute and then counted; repeats of one event about many are a few an hour and
// a count of them all; all lines together are capped. Pure, a value of one thread; the sink guards it.
class Governor {
 public:
  // The same event about the same adapter, device or connection: so many in a window, then a count.
  static constexpr unsigned kRepeats = 10;
  static constexpr Milliseconds kWindow{60'000};
  // Whoever was quiet for so long is new again: the next line about it is no repeat.
  static constexpr Milliseconds kForget{3'600'000};
  // Repeats of an event, whomever they are about: so many at once, then one in so long. A thousand devices that fail
  // all day would fill megabytes otherwise (24 hours without the hub have to fit into 5 MB).
  static constexpr double kEventBurst = 1000;
  static constexpr std::chrono::seconds kGraveEvery{30};
  static constexpr std::chrono::seconds kStoryEvery{3};
  // How often what was left out of an event is said in one line.
  static constexpr Milliseconds kSummary{600'000};
  // Subjects that are watched at once, and events; beyond them a line counts as a repeat.
  static constexpr std::size_t kSubjects = 4096;
  static constexpr std::size_t kEvents = 512;
  // The hard cap: a burst (a thousand devices that connect), then so many a second. Warnings and errors have a cap of
  // their own, so that no chatter hides them.
  static constexpr double kBurst = 3000;
  static constexpr double kPerSecond = 20;

  // What was left out: `count` lines of `event` about `subject`, or about `subjects` of them if that is empty; without
  // an event: of any, by the cap.
  struct Omitted {
    std::string event;
    std::string subject;
    std::uint64_t count = 0;
    std::uint64_t subjects = 0;
  };
  struct Verdict {
    bool write = true;
    std::vector<Omitted> omitted;  // to be said first
  };

  Verdict admit(std::string_view event, std::string_view subject, bool grave, SteadyTime now);

 private:
  struct Bucket {
    double burst = kBurst;
    double per_second = kPerSecond;
    double tokens = burst;
    std::optional<SteadyTime> filled{};
    std::uint64_t omitted = 0;

    bool has(SteadyTime now);
    void take() { tokens -= 1; }
  };
  struct Event {
    Bucket repeats;
    std::optional<SteadyTime> told{};
    std::uint64_t omitted = 0;  // since then, and about how many
    std::uint64_t subjects = 0;
  };
  struct Subject {
    Event* event = nullptr;
    SteadyTime began;
    SteadyTime seen;
    unsigned written = 0;
    std::uint64_t omitted = 0;
  };

  void sweep(SteadyTime now, std::vector<Omitted>& out);
  Event& event_of(std::string_view event, bool grave);

  std::unordered_map<std::string, Event> events_;
  std::unordered_map<std::string, Subject> subjects_;  // by event, a line end, subject
  SteadyTime swept_{};
  Bucket grave_, story_;
};

}  // namespace trunkline::log
