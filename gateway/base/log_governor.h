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

// Keeps the journal readable and the flash alive whatever devices, brokers or the hub do: what repeats is said ten
// times a minute and then counted, and all lines together are capped. Pure, a value of one thread; the sink guards it.
class Governor {
 public:
  // The same event about the same adapter, device or connection: so many in a window, then a count.
  static constexpr unsigned kRepeats = 10;
  static constexpr Milliseconds kWindow{60'000};
  // Subjects that are watched at once; beyond them only the cap holds.
  static constexpr std::size_t kSubjects = 4096;
  // The hard cap: a burst (a thousand devices that connect), then so many a second. Warnings and errors have a cap of
  // their own, so that no chatter hides them.
  static constexpr double kBurst = 3000;
  static constexpr double kPerSecond = 20;

  // What was left out: `count` lines of `event` about `subject`; both empty: of any, by the cap.
  struct Omitted {
    std::string event;
    std::string subject;
    std::uint64_t count = 0;
  };
  struct Verdict {
    bool write = true;
    std::vector<Omitted> omitted;  // to be said first
  };

  Verdict admit(std::string_view event, std::string_view subject, bool grave, SteadyTime now);

 private:
  struct Subject {
    SteadyTime began;
    unsigned written = 0;
    std::uint64_t omitted = 0;
  };
  struct Bucket {
    double tokens = kBurst;
    std::optional<SteadyTime> filled;
    std::uint64_t omitted = 0;

    bool take(SteadyTime now);
  };

  void sweep(SteadyTime now, std::vector<Omitted>& out);
  Subject* watch(std::string_view event, std::string_view subject, SteadyTime now);

  std::unordered_map<std::string, Subject> subjects_;  // by event, a line end, subject
  SteadyTime swept_{};
  Bucket grave_, story_;
};

}  // namespace trunkline::log
