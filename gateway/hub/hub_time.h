// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"

namespace trunkline::hub {

// How far this machine's clock is behind the hub's, at least. The hub tells no time, but it lets slip bounds: when it
// took a command in, the stamps in its error texts, a token that has expired for it, a certificate that is valid
// already. A bound is kept against steady time, so that it ends by itself when somebody sets the clock. Pure; one
// thread.
class HubTime {
 public:
  // Beyond this the hub refuses tokens (hub-amqp-protocol.md 2.4).
  static constexpr Milliseconds kTolerance{300'000};

  // The hub's clock showed that, or later, when ours showed `now`.
  void at_least(WallTime hub, SteadyTime now);
  // An error text of the hub's, which may hold the time when it was made.
  void read(std::string_view text, SteadyTime now);
  // A token that expires then was refused, with that text.
  void token_refused(std::string_view text, WallTime expires, SteadyTime now);
  // The TLS handshake failed; the text is gateway/net's.
  void handshake_failed(std::string_view text, SteadyTime now);

  // 0 if nothing is known.
  [[nodiscard]] Milliseconds behind(WallTime wall, SteadyTime now) const;
  // What to do about it, for a person: "this machine's clock is at least 61 min behind the hub's: set it"; empty within
  // the tolerance.
  [[nodiscard]] std::string advice(WallTime wall, SteadyTime now) const;

 private:
  struct Bound {
    WallTime hub;
    SteadyTime when;
  };
  std::optional<Bound> bound_;
};

}  // namespace trunkline::hub
