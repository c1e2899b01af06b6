// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/request_reader.h"

#include <coap3/coap.h>

#include <algorithm>
#include <cstring>

namespace trunkline::coap {

namespace {

constexpr unsigned kOwnOptions = 2048;

Method method_of(const coap_pdu_t* pdu) {
  switch (coap_pdu_get_code(pdu)) {
    case COAP_REQUEST_CODE_GET:
      return Method::get;
    case COAP_REQUEST_CODE_POST:
      return Method::post;
    case COAP_REQUEST_CODE_PUT:
      return Method::put;
    default:
      return Method::other;
  }
}

void add_segment(std::string& path, std::string_view segment) {
  path += '/';
  for (const char c : segment) {
    if (c == '/') {
      path += "%2F";
    } else {
      path += c;
    }
  }
}

}  // namespace

Request read_request(const coap_pdu_t* pdu) {
  Request out;
  out.method = method_of(pdu);
  out.confirmable = coap_pdu_get_type(pdu) == COAP_MESSAGE_CON;
  out.message_id = static_cast<std::uint16_t>(coap_pdu_get_mid(pdu));
  const auto token = coap_pdu_get_token(pdu);
  out.token.size = static_cast<std::uint8_t>(std::min(token.length, out.token.bytes.size()));
  std::copy_n(token.s, out.token.size, out.token.bytes.begin());

  coap_opt_iterator_t options;
  coap_option_iterator_init(pdu, &options, COAP_OPT_ALL);
  while (const coap_opt_t* option = coap_option_next(&options)) {
    const auto* bytes = coap_opt_value(option);
    const std::size_t length = coap_opt_length(option);
    const std::string_view text(reinterpret_cast<const char*>(bytes), length);
    const auto number = length <= 4 ? coap_decode_var_bytes(bytes, length) : ~0U;
    switch (options.number) {
      case COAP_OPTION_URI_PATH:
        add_segment(out.path, text);
        break;
      case COAP_OPTION_URI_QUERY:
        out.queries.emplace_back(text);
        break;
      case COAP_OPTION_CONTENT_FORMAT:
        out.content_format = number;
        break;
      case COAP_OPTION_ACCEPT:
        out.accept = number;
        break;
      case COAP_OPTION_OBSERVE:
        out.observe = number;
        break;
      case COAP_OPTION_BLOCK1:
        out.block1 = Block::parse(number);
        out.bad_block = out.bad_block || !out.block1;
        break;
      case COAP_OPTION_BLOCK2:
        out.block2 = Block::parse(number);
        out.bad_block = out.bad_block || !out.block2;
        break;
      case COAP_OPTION_SIZE1:
        out.size1 = number;
        break;
      case COAP_OPTION_IF_MATCH:
      case COAP_OPTION_IF_NONE_MATCH:
        out.preconditions = true;
        break;
      case COAP_OPTION_NORESPONSE:
        out.no_response = static_cast<std::uint8_t>(number);
        break;
      default:
        if (options.number >= kOwnOptions) out.own_options.emplace_back(options.number, text);
        break;
    }
  }
  if (out.path.empty()) out.path.push_back('/');

  std::size_t length = 0;
  const std::uint8_t* payload = nullptr;
  if (coap_get_data(pdu, &length, &payload) != 0) {
    out.payload = {reinterpret_cast<const char*>(payload), length};
  }
  return out;
}

Peer read_peer(const coap_address_t* address) {
  Peer out;
  if (address->addr.sa.sa_family == AF_INET) {
    out.address[10] = out.address[11] = 0xff;
    std::memcpy(out.address.data() + 12, &address->addr.sin.sin_addr, 4);
    out.port = ntohs(address->addr.sin.sin_port);
  } else if (address->addr.sa.sa_family == AF_INET6) {
    std::memcpy(out.address.data(), &address->addr.sin6.sin6_addr, out.address.size());
    out.port = ntohs(address->addr.sin6.sin6_port);
  }
  return out;
}

}  // namespace trunkline::coap
