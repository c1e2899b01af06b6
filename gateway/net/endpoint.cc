// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/endpoint.h"

#include <charconv>

namespace trunkline::net {

namespace {

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port > 65'535) {
    return fail(ErrorCode::invalid, "'" + std::string(whole) + "': the port must be a number from 0 to 65535");
  }
  return static_cast<std::uint16_t>(port);
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  std::string_view host;
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find("]:");
    if (close == std::string_view::npos) {
      return fail(ErrorCode::invalid, "'" + std::string(text) + "': an IPv6 address is written [address]:port");
    }
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
  } else {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
      return fail(ErrorCode::invalid, "'" + std::string(text) + "': a port is missing, as in host:port");
    }
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return fail(ErrorCode::invalid, "'" + std::string(text) + "': an IPv6 address is written [address]:port");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.empty() || host.find_first_of(" \t\r\n[]/") != std::string_view::npos) {
    return fail(ErrorCode::invalid, "'" + std::string(text) + "': no valid host");
  }
  const auto number = parse_port(port, text);
  if (!number) return fail(number.error());
  return Endpoint{std::string(host), *number};
}

std::string Endpoint::text() const {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace trunkline::net
