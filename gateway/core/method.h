// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace trunkline {

// A direct method as the hub calls it: at most once, answered once, with no place to wait in (hub-amqp-protocol.md 8).
struct MethodCall {
  std::string name;
  std::string payload;  // JSON text
};

// The answer that the caller sees.
struct MethodResponse {
  static constexpr std::size_t kMaxPayload = 128 * 1024;  // of the hub, each way
  int status = 200;
  std::string payload = "null";  // JSON text

  // The statuses that the gateway gives itself, named as in HTTP.
  static constexpr int kBadRequest = 400;
  static constexpr int kOffline = 404;
  static constexpr int kBusy = 429;
  static constexpr int kUnusable = 502;  // the device answered something that cannot go up
  static constexpr int kFailed = 503;
  static constexpr int kTimeout = 504;
  static constexpr int kNotMapped = 501;
};

}  // namespace trunkline
