// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/request.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace trunkline::coap {

namespace {

struct Format {
  unsigned number;
  std::string_view type;
};

// IANA "CoAP Content-Formats"; what is not here is passed on as the map says.
constexpr Format kFormats[] = {
    {0, "text/plain"},
    {40, "application/link-format"},
    {41, "application/xml"},
    {42, "application/octet-stream"},
    {47, "application/exi"},
    {50, "application/json"},
    {60, "application/cbor"},
    {110, "application/senml+json"},
    {112, "application/senml+cbor"},
    {114, "application/senml-exi"},
    {310, "application/senml+xml"},
};

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  const std::string zero_ended(text);
  Address out{};
  in_addr v4{};
  if (::inet_pton(AF_INET, zero_ended.c_str(), &v4) == 1) {
    out[10] = out[11] = 0xff;
    std::memcpy(out.data() + 12, &v4, sizeof v4);
    return out;
  }
  if (::inet_pton(AF_INET6, zero_ended.c_str(), out.data()) == 1) return out;
  return std::nullopt;
}

std::optional<Block> Block::parse(std::uint32_t option) {
  constexpr std::uint32_t kMost = 0xffffff;
  if (option > kMost || (option & 7) == 7) return std::nullopt;
  return Block{option >> 4, (option & 8) != 0, static_cast<std::uint8_t>(option & 7)};
}

std::string to_text(const Peer& peer) {
  char text[INET6_ADDRSTRLEN] = "";
  const auto port = ":" + std::to_string(peer.port);
  in6_addr v6{};
  std::memcpy(&v6, peer.address.data(), sizeof v6);
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    ::inet_ntop(AF_INET, peer.address.data() + 12, text, sizeof text);
    return text + port;
  }
  ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  return "[" + std::string(text) + "]" + port;
}

std::optional<std::string_view> own_option(const Request& request, unsigned number) {
  for (const auto& [own, value] : request.own_options) {
    if (own == number) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> query_value(const Request& request, std::string_view name) {
  for (const std::string_view query : request.queries) {
    if (query.size() > name.size() && query.substr(0, name.size()) == name && query[name.size()] == '=') {
      return query.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> media_type(unsigned content_format) {
  for (const auto& format : kFormats) {
    if (format.number == content_format) return format.type;
  }
  return std::nullopt;
}

std::optional<unsigned> content_format(std::string_view media_type) {
  // Parameters such as "; charset=utf-8" do not choose another number here.
  media_type = media_type.substr(0, media_type.find_first_of("; "));
  for (const auto& format : kFormats) {
    if (format.type == media_type) return format.number;
  }
  return std::nullopt;
}

}  // namespace trunkline::coap
