// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/hub_time.h"

#include <algorithm>
#include <cctype>

namespace trunkline::hub {

namespace {

using namespace std::chrono_literals;

// A hub that names a year outside of these is not believed.
constexpr int kFirstYear = 2020;
constexpr int kLastYear = 2100;

constexpr std::string_view kNotYetValid = "not yet valid: it begins at ";
// What stands in front of a time in the texts of the hub and its kin, in lower case: {"timestampUtc":"…"},
// TimeStamp:…, Expiration time: '…'. All of them name a moment that has passed for who writes them.
constexpr std::string_view kStamps[] = {"timestamputc", "timestamp:", "expiration time"};
constexpr std::string_view kExpired = "expired";
// Between the name and the time: quotes, colons, blanks.
constexpr std::size_t kMaxGap = 5;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::optional<int> number(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  for (const char c : text.substr(at, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// "2025-07-01T12:59:54" at the beginning, whatever follows: a fraction only makes it later.
std::optional<WallTime> time_at(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00t00:00:00";
  if (text.size() < kShape.size()) return std::nullopt;
  for (const std::size_t i : {4, 7, 13, 16}) {
    if (text[i] != kShape[i]) return std::nullopt;
  }
  if (text[10] != 't' && text[10] != ' ') return std::nullopt;
  const auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
  const auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < kFirstYear || *year > kLastYear || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  return WallTime(std::chrono::sys_days(date).time_since_epoch() + *hour * 1h + *minute * 1min + *second * 1s);
}

}  // namespace

void HubTime::at_least(WallTime hub, SteadyTime now) {
  const auto year = std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(hub)).year();
  if (year < std::chrono::year(kFirstYear) || year > std::chrono::year(kLastYear)) return;
  if (bound_ && bound_->hub + std::chrono::floor<Milliseconds>(now - bound_->when) >= hub) return;
  bound_ = {hub, now};
}

void HubTime::read(std::string_view text, SteadyTime now) {
  const auto searched = lower(text);
  for (const auto stamp : kStamps) {
    for (auto at = searched.find(stamp); at != std::string::npos; at = searched.find(stamp, at)) {
      at += stamp.size();
      const auto digit = searched.find_first_of("0123456789", at);
      if (digit == std::string::npos || digit - at > kMaxGap) continue;
      if (const auto time = time_at(std::string_view(searched).substr(digit))) at_least(*time, now);
    }
  }
}

void HubTime::token_refused(std::string_view text, WallTime expires, SteadyTime now) {
  read(text, now);
  if (lower(text).find(kExpired) != std::string::npos) at_least(expires, now);
}

void HubTime::handshake_failed(std::string_view text, SteadyTime now) {
  const auto searched = lower(text);
  const auto at = searched.find(kNotYetValid);
  if (at == std::string::npos) return;
  if (const auto begins = time_at(std::string_view(searched).substr(at + kNotYetValid.size()))) at_least(*begins, now);
}

Milliseconds HubTime::behind(WallTime wall, SteadyTime now) const {
  if (!bound_) return Milliseconds(0);
  const auto hub = bound_->hub + std::chrono::floor<Milliseconds>(now - bound_->when);
  return std::max(hub - wall, Milliseconds(0));
}

std::string HubTime::advice(WallTime wall, SteadyTime now) const {
  const auto gap = behind(wall, now);
  if (gap <= kTolerance) return {};
  const auto minutes = std::chrono::floor<std::chrono::minutes>(gap).count();
  return "this machine's clock is at least " + std::to_string(minutes) + " min behind the hub's: set it";
}

}  // namespace trunkline::hub
