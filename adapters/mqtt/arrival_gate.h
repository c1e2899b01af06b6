// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "gateway/base/clock.h"
#include "gateway/core/adapter.h"

namespace trunkline::mqtt {

// Where Paho's arrival callback waits until its message is safe, because returning from it is the acknowledgement
// (southbound-notes 2.1). Owned by the adapter; `pass` is called on Paho's thread, the rest on any.
class ArrivalGate {
 public:
  struct Verdict {
    enum class Kind {
      safe,     // return: the PUBACK may go out
      refused,  // return: this one message will never be taken, and that was said and counted (D-06)
      stopped,  // not safe, and the gateway stops: the PUBACK must never go out
    };
    Kind kind = Kind::stopped;
    std::string reason;
  };

  ArrivalGate();

  // Submits what `make` builds, again after each throttling, until there is an answer that ends it.
  Verdict pass(Ingress& ingress, const std::function<Telemetry()>& make);

  // From now on nothing is submitted; a message that waits for its answer gets until the deadline.
  void stop(SteadyTime deadline);

  // True while a message has been waiting for a while; whoever calls Paho then blocks.
  [[nodiscard]] bool holding() const;

  // Waits until the message that is at the gate now is through, or `given_up`, or the stop. Whoever sets `given_up`
  // calls nudge afterwards.
  void wait_clear(const std::atomic<bool>& given_up) const;
  void nudge();

 private:
  struct Core;  // shared with the completions, which may outlive the adapter
  std::shared_ptr<Core> core_;
};

}  // namespace trunkline::mqtt
