// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/base/result.h"

namespace trunkline::net {

// "host:port", "1.2.3.4:port" or "[::1]:port". Pure.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;

  static Result<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string text() const;  // brackets around an IPv6 address
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace trunkline::net
