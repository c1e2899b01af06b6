// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "gateway/base/clock.h"

namespace trunkline::hubsim {

// How a direct method ended. With `code` 0 the device answered `status` and `payload`; else the hub gave up.
struct MethodAnswer {
  int http_status = 200;
  int code = 0;  // 404103 not online, 404104 gone meanwhile, 504101 no answer in time, ...
  std::string text;
  std::int32_t status = 0;
  std::string payload;  // JSON; empty for none
};

// The direct methods of one device that are under way (hub-amqp-protocol section 8): at most once, no queue beyond the
// call's own waiting for the device to connect, exactly one answer each. Pure: the caller gives the time and says
// whether the device is online (its receive link for methods is attached).
class MethodCalls {
 public:
  using Done = std::function<void(const MethodAnswer&)>;
  struct Call {
    std::string method;
    std::string payload;  // JSON; empty for none
    Milliseconds connect_timeout{0};
    Milliseconds response_timeout{30'000};
  };
  struct Request {
    std::string id;  // 16 bytes: the correlation-id, a uuid
    std::string method;
    std::string payload;
  };
  static constexpr std::size_t kMaxInFlight = 10;

  // `done` is called once, perhaps at once: too many calls, or nobody there and no time to wait for him.
  void begin(Call call, bool online, SteadyTime now, Done done);
  // The oldest call that waits to be sent, now counted as sent; nothing if there is none.
  std::optional<Request> next(SteadyTime now);
  // False if no call of this id waits: it is over, or never was.
  bool answer(const std::string& id, std::int32_t status, std::string payload);
  // The device's answer cannot be read.
  bool spoil(const std::string& id, std::string why);
  // The device's link is gone: what was sent cannot be answered any more.
  void link_lost();
  // The device is removed.
  void abandon();
  void tick(bool online, SteadyTime now);

  [[nodiscard]] SteadyTime deadline(bool online) const;
  [[nodiscard]] bool has_waiting() const;
  [[nodiscard]] std::size_t size() const { return calls_.size(); }

 private:
  struct Entry {
    Call call;
    Done done;
    SteadyTime connect_until{};
    SteadyTime answer_until{};
    std::string id;  // empty: not sent yet
  };
  void finish(std::map<std::uint64_t, Entry>::iterator entry, const MethodAnswer& answer);
  std::map<std::uint64_t, Entry>::iterator find(const std::string& id);

  std::map<std::uint64_t, Entry> calls_;  // oldest first
  std::uint64_t last_ = 0;
};

}  // namespace trunkline::hubsim
