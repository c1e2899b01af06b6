// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/pace.h"

#include <algorithm>

namespace trunkline {
namespace {

constexpr Milliseconds kSecond{1000};
constexpr double kLower = 0.7;
constexpr double kRaise = 1.05;
// An unbounded pace that was slowed is let go once its bound is so far above what is used.
constexpr double kFree = 4;

double seconds(SteadyTime::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

double Pace::burst() const {
  return std::max(1.0, rate_ / 10);
}

void Pace::recover(SteadyTime now) {
  if (now - second_ >= kSecond) {
    taken_before_ = now - second_ < 2 * kSecond ? taken_ : 0;
    taken_ = 0;
    second_ = now;
  }
  while (slowed_ && now - raised_at_ >= kSecond) {
    raised_at_ += kSecond;
    rate_ *= kRaise;
    if (configured_ > 0 && rate_ >= configured_) {
      rate_ = configured_;
      slowed_ = false;
    } else if (configured_ <= 0 && rate_ > kFree * std::max(taken_before_, 25.0) &&
               now - throttled_at_ > 60 * kSecond) {
      rate_ = 0;
      slowed_ = false;
    }
  }
}

void Pace::refill(SteadyTime now) {
  recover(now);
  if (rate_ <= 0) return;
  permits_ = std::min(burst(), permits_ + seconds(now - filled_) * rate_);
  filled_ = now;
}

double Pace::portion() const {
  return std::max(1.0, rate_ / 200);
}

bool Pace::take(SteadyTime now) {
  if (next(now) > now) return false;
  if (rate_ > 0) {
    permits_ -= 1;
    drained_ = permits_ < 1;
  }
  ++taken_;
  return true;
}

SteadyTime Pace::next(SteadyTime now) {
  refill(now);
  const double wanted = drained_ ? portion() : 1;
  if (rate_ <= 0 || permits_ >= wanted) {
    drained_ = false;
    return now;
  }
  return now + std::chrono::ceil<Milliseconds>(std::chrono::duration<double>((wanted - permits_) / rate_));
}

void Pace::throttled(SteadyTime now) {
  refill(now);
  if (throttled_at_ != SteadyTime{} && now - throttled_at_ < kSecond) return;
  const double elapsed = std::clamp(seconds(now - second_), 0.0, 1.0);
  // The running second alone says too little at its beginning.
  const double used = std::max(taken_before_ * (1 - elapsed) + taken_, rate_ > 0 ? rate_ / 2 : 0.0);
  rate_ = std::max(1.0, kLower * (rate_ > 0 ? std::min(rate_, used) : used));
  slowed_ = true;
  throttled_at_ = now;
  raised_at_ = now;
  filled_ = now;
  permits_ = std::min(permits_, burst());
}

}  // namespace trunkline
