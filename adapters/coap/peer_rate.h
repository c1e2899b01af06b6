// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include "adapters/coap/request.h"
#include "gateway/base/clock.h"

namespace trunkline::coap {

// How fast one peer may ask: a bucket of one second's requests each. Pure; one per adapter. Knows a bounded number of
// peers; beyond it, a new one is not counted until others have been quiet for a second.
class PeerRate {
 public:
  // `rate` is requests per second; 0: no limit.
  PeerRate(double rate, std::size_t peers) : rate_(rate), peers_(peers) {}

  bool allow(const Peer& peer, SteadyTime now) {
    if (rate_ <= 0) return true;
    auto found = buckets_.find(peer);
    if (found == buckets_.end()) {
      if (buckets_.size() >= peers_ && now >= sweep_at_) sweep(now);
      if (buckets_.size() >= peers_) return true;
      found = buckets_.emplace(peer, Bucket{std::max(rate_, 1.0), now}).first;
    }
    auto& bucket = found->second;
    const std::chrono::duration<double> passed = now - bucket.at;
    bucket.left = std::min(std::max(rate_, 1.0), bucket.left + passed.count() * rate_);
    bucket.at = now;
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

 private:
  struct Bucket {
    double left;
    SteadyTime at;
  };
  void sweep(SteadyTime now) {
    std::erase_if(buckets_, [now](const auto& entry) { return now - entry.second.at > std::chrono::seconds(1); });
    sweep_at_ = now + std::chrono::seconds(1);
  }

  double rate_;
  std::size_t peers_;
  std::map<Peer, Bucket> buckets_;
  SteadyTime sweep_at_{};
};

}  // namespace trunkline::coap
