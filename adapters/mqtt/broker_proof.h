// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace trunkline::mqtt {

// One thing that the promise needs of a broker, and what it showed when it was tried.
struct BrokerProof {
  enum class Verdict {
    proven,
    failed,   // it behaved otherwise: detail says what to do
    unknown,  // it cannot be told from here
  };
  Verdict verdict = Verdict::unknown;
  std::string what;
  std::string detail;
};

// Tries the broker with clients and a topic of its own ("trunkline/check/…"), beside a running gateway: does it keep a
// session, does it keep 2000 messages for it, does it refuse strangers. Leaves nothing behind. Blocks for up to about a
// minute; called on the main thread of a command, never in the daemon.
std::vector<BrokerProof> prove_broker(const config::Mqtt& settings);

}  // namespace trunkline::mqtt
