// SPDX-License-Identifier: Apache-2.0
#include "gateway/ops/guests.h"

#include <utility>

namespace trunkline::ops {

Guests::Guest::Guest(std::shared_ptr<Guests> all) : all_(std::move(all)) {
  ++all_->count_;
}

Guests::Guest::~Guest() {
  works();
  --all_->count_;
}

void Guests::Guest::waits() {
  works();
  place_ = all_->waiting_.insert(all_->waiting_.end(), this);
  waiting_ = true;
}

void Guests::Guest::works() {
  if (std::exchange(waiting_, false)) all_->waiting_.erase(place_);
}

bool Guests::make_room() {
  if (count_ < most_) return true;
  if (waiting_.empty()) return false;
  auto* const longest = waiting_.front();
  longest->works();
  longest->leave();
  return true;
}

}  // namespace trunkline::ops
