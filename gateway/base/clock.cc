// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/clock.h"

#include <fmt/format.h>
#include <sys/timex.h>

#include <charconv>

namespace trunkline {
namespace {

// Before this no clock of a running gateway can be right. The tree is older than any build of it.
constexpr WallTime kBuilt{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}.time_since_epoch()};

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc{} && end == text.data() + text.size() && value >= 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

bool SystemClock::wall_trusted() const {
  const auto second = std::chrono::duration_cast<std::chrono::seconds>(steady().time_since_epoch()).count();
  if (looked_at_.exchange(second, std::memory_order_relaxed) != second) {
    timex state{};
    const bool synced = ::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
    trusted_.store(synced, std::memory_order_relaxed);
  }
  return trusted_.load(std::memory_order_relaxed) && wall() >= kBuilt;
}

std::int64_t day_of(WallTime time) {
  return std::chrono::floor<std::chrono::days>(time.time_since_epoch()).count();
}

std::string day_text(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::optional<std::int64_t> parse_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = number(text.substr(0, 4));
  const auto month = number(text.substr(5, 2));
  const auto day = number(text.substr(8, 2));
  if (!year || !month || !day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date}.time_since_epoch().count();
}

namespace {

void put(char* at, unsigned value, unsigned digits) {
  for (; digits > 0; value /= 10) at[--digits] = static_cast<char>('0' + value % 10);
}

}  // namespace

// Every message carries one, so this one is written by hand.
std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::string text = "0000-00-00T00:00:00.000Z";
  const int year = static_cast<int>(date.year());
  if (year < 0 || year > 9999) {  // RFC 3339 has no such years
    return fmt::format("{}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", year, static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                       clock.seconds().count(), clock.subseconds().count());
  }
  put(&text[0], static_cast<unsigned>(year), 4);
  put(&text[5], static_cast<unsigned>(date.month()), 2);
  put(&text[8], static_cast<unsigned>(date.day()), 2);
  put(&text[11], static_cast<unsigned>(clock.hours().count()), 2);
  put(&text[14], static_cast<unsigned>(clock.minutes().count()), 2);
  put(&text[17], static_cast<unsigned>(clock.seconds().count()), 2);
  put(&text[20], static_cast<unsigned>(clock.subseconds().count()), 3);
  return text;
}

}  // namespace trunkline
