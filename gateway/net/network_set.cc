// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/network_set.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace trunkline::net {

namespace ip = boost::asio::ip;

namespace {

template <class Networks, class Network>
void insert(Networks& networks, const Network& network, std::size_t number) {
  const auto narrower = [&network](const auto& other) { return other.first.prefix_length() < network.prefix_length(); };
  networks.emplace(std::find_if(networks.begin(), networks.end(), narrower), network, number);
}

template <class Network, class Networks, class Address>
std::optional<std::size_t> search(const Networks& networks, const Address& address) {
  for (const auto& [network, number] : networks) {
    if (Network(address, network.prefix_length()).canonical() == network) return number;
  }
  return std::nullopt;
}

}  // namespace

Result<void> NetworkSet::add(std::string_view text) {
  const auto number = v4_.size() + v6_.size();
  const std::string one(text);
  const bool network = one.find('/') != std::string::npos;
  boost::system::error_code not_v4, not_v6;
  const auto four = ip::make_network_v4(network ? one : one + "/32", not_v4);
  const auto six = ip::make_network_v6(network ? one : one + "/128", not_v6);
  if (!not_v4) {
    insert(v4_, four.canonical(), number);
  } else if (!not_v6) {
    insert(v6_, six.canonical(), number);
  } else {
    return fail(ErrorCode::invalid, "'" + one + "' is no address and no network");
  }
  return {};
}

std::optional<std::size_t> NetworkSet::find(const std::string& address) const {
  boost::system::error_code error;
  auto one = ip::make_address(address, error);
  if (error) return std::nullopt;
  if (one.is_v6() && one.to_v6().is_v4_mapped()) one = ip::make_address_v4(ip::v4_mapped, one.to_v6());
  if (one.is_v4()) return search<ip::network_v4>(v4_, one.to_v4());
  return search<ip::network_v6>(v6_, one.to_v6());
}

}  // namespace trunkline::net
