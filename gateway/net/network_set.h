// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/base/result.h"

namespace trunkline::net {

// Addresses and networks of both families, and in which of them an address is. Pure; a value of its owner.
class NetworkSet {
 public:
  // "10.0.0.7", "10.0.0.0/8", "fd00::/8". invalid: it is none.
  Result<void> add(std::string_view text);

  // Which of the added ones, counted from 0, holds the address; the narrowest of several. An IPv4 address that is
  // written as an IPv6 one (::ffff:10.0.0.7) is the IPv4 one.
  [[nodiscard]] std::optional<std::size_t> find(const std::string& address) const;
  [[nodiscard]] bool empty() const { return v4_.empty() && v6_.empty(); }

 private:
  std::vector<std::pair<boost::asio::ip::network_v4, std::size_t>> v4_;
  std::vector<std::pair<boost::asio::ip::network_v6, std::size_t>> v6_;
};

}  // namespace trunkline::net
