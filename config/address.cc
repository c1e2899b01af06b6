// SPDX-License-Identifier: Apache-2.0
#include "config/address.h"

#include <arpa/inet.h>

#include <array>

#include "gateway/net/endpoint.h"

namespace trunkline::config {

std::optional<std::string> canonical_ip(std::string_view text) {
  const std::string address(text);
  if (address.find('\0') != std::string::npos) return std::nullopt;
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(family, address.c_str(), bytes.data()) != 1) return std::nullopt;
  if (inet_ntop(family, bytes.data(), out.data(), out.size()) == nullptr) return std::nullopt;
  return std::string(out.data());
}

std::optional<ListenAddress> ListenAddress::parse(std::string_view text) {
  const auto endpoint = net::Endpoint::parse(text);
  if (!endpoint) return std::nullopt;
  const auto address = canonical_ip(endpoint->host);
  if (!address) return std::nullopt;
  ListenAddress out;
  out.address = *address;
  out.port = endpoint->port;
  out.loopback = *address == "::1" || address->rfind("127.", 0) == 0;
  out.wildcard = *address == "::" || *address == "0.0.0.0";
  return out;
}

std::string ListenAddress::text() const {
  return net::Endpoint{address, port}.text();
}

bool ListenAddress::clashes(const ListenAddress& other) const {
  if (port != other.port || port == 0) return false;
  if (address == other.address) return true;
  // :: takes IPv4 as well, 0.0.0.0 only IPv4.
  const bool same_family = (address.find(':') == std::string::npos) == (other.address.find(':') == std::string::npos);
  const bool all = address == "::" || other.address == "::";
  return all || ((wildcard || other.wildcard) && same_family);
}

}  // namespace trunkline::config
