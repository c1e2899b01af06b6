// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/core/token.h"
#include "gateway/core/uplink.h"

namespace trunkline::hub {

// The put-token requests of one connection: at most `window` are outstanding, the rest wait in order of request. Pure:
// the owner writes what next() hands out and tells what came back.
class PutTokens {
 public:
  struct Limits {
    unsigned window = 30;
    Milliseconds timeout{30'000};
    // So many requests in a row without any answer mean that $cbs itself is dead, not one device.
    unsigned stalled_after = 3;
  };
  struct Request {
    std::uint64_t number = 0;
    std::string message_id;
    DeviceSlot slot;
    Token token;
  };

  // `prefix` makes message-ids unique across connections.
  PutTokens(std::string prefix, Limits limits) : prefix_(std::move(prefix)), limits_(limits) {}

  // Replaces an earlier request of the same slot, whose answer then means nothing.
  void request(DeviceSlot slot, Token token, SteadyTime now);
  void cancel(DeviceSlot slot);

  // The request to write now, if the window has room; it is outstanding from then on.
  std::optional<Request> next(SteadyTime now);

  // The hub answered, or settled a request so that no answer will come. The slot, unless nobody waits for it any more.
  std::optional<DeviceSlot> answered(std::string_view message_id, SteadyTime now);
  std::optional<DeviceSlot> ended(std::uint64_t number, SteadyTime now);

  // Takes out what was not answered in time.
  std::vector<DeviceSlot> expire(SteadyTime now);
  [[nodiscard]] std::size_t outstanding() const { return outstanding_.size(); }
  [[nodiscard]] SteadyTime deadline() const;
  [[nodiscard]] bool stalled(SteadyTime now) const;

 private:
  struct Waiting {
    DeviceSlot slot;
    Token token;
  };
  struct Outstanding {
    std::optional<DeviceSlot> slot;  // nothing: cancelled
    SteadyTime deadline;
  };
  [[nodiscard]] std::string message_id(std::uint64_t number) const;

  std::string prefix_;
  Limits limits_;
  std::uint64_t last_number_ = 0;
  std::deque<Waiting> waiting_;
  std::map<std::uint64_t, Outstanding> outstanding_;  // by number, so by deadline too
  unsigned unanswered_ = 0;                           // expired since the last answer
  SteadyTime progress_{};                             // when the queue last moved, or began to wait
};

}  // namespace trunkline::hub
