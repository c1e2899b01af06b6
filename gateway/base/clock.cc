// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/clock.h"

#include <fmt/format.h>

namespace trunkline {

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
