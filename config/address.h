// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trunkline::config {

// An IP address and a port to listen on; names are not looked up. Pure.
struct ListenAddress {
  std::string address;  // canonical text of the address
  std::uint16_t port = 0;
  bool loopback = false;
  bool wildcard = false;  // 0.0.0.0 or ::

  static std::optional<ListenAddress> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  // Would the second of the two fail to bind?
  [[nodiscard]] bool clashes(const ListenAddress& other) const;
};

// The canonical text of an IPv4 or IPv6 address, nothing if it is none.
std::optional<std::string> canonical_ip(std::string_view text);

}  // namespace trunkline::config
