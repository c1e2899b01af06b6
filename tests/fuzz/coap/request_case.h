// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "adapters/coap/body_table.h"
#include "adapters/coap/exchange_table.h"
#include "adapters/coap/request_map.h"
#include "adapters/coap/request_reader.h"
#include "tests/support/coap_parse.h"

namespace trunkline::test {

inline coap::Speaker stranger() {
  coap::Speaker out;
  out.secure = true;
  out.identity = "nobody";
  return out;
}

// One input of the fuzzer: a datagram, through libcoap's parser, our reader, the map and the table. Does everything
// that must hold hold?
inline bool request_holds(std::string_view input) {
  const auto pdu = parse_datagram(input);
  if (!pdu) return true;
  const auto request = coap::read_request(pdu.get());
  if (request.path.empty() || request.path.front() != '/') return false;
  if (request.token.size > 8 || request.payload.size() > input.size() || request.path.size() > 3 * input.size() + 1) {
    return false;
  }
  DeviceMap one{.id = *DeviceId::parse("a")};
  one.coap = CoapMap{{}, "/t", "/c", "/d"};
  const auto map = coap::RequestMap::make({one});
  if (!map) return false;
  const auto decision = map->decide(request, {});
  const bool mapped = request.path == "/t" || request.path == "/c" || request.path == "/d";
  if (!mapped && decision.refuse != coap::Code::not_found) return false;
  if (!decision.refuse && (request.bad_block || request.preconditions)) return false;
  if (decision.refuse != coap::Code::unauthorised && mapped &&
      map->decide(request, stranger()).refuse == std::nullopt) {
    return false;
  }
  coap::BodyTable bodies({2048, 4096, 2});
  const auto taken = bodies.take({}, 0, request, SteadyTime{});
  if (bodies.bytes() > request.payload.size()) return false;
  if (taken.whole && (taken.body != request.payload || bodies.bytes() != 0)) return false;
  coap::ExchangeTable table;
  using Kind = coap::ExchangeTable::Seen::Kind;
  return table.see({}, request, SteadyTime{}).kind == Kind::fresh &&
         table.see({}, request, SteadyTime{}).kind == Kind::pending;
}

}  // namespace trunkline::test
