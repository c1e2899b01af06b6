// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coap3/coap.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace trunkline::test {

struct DeletePdu {
  void operator()(coap_pdu_t* pdu) const { coap_delete_pdu(pdu); }
};
using PduPtr = std::unique_ptr<coap_pdu_t, DeletePdu>;

// What libcoap makes of a datagram; nothing if it refuses it.
inline PduPtr parse_datagram(std::string_view bytes) {
  PduPtr pdu(coap_pdu_init(COAP_MESSAGE_CON, COAP_EMPTY_CODE, 0, bytes.size() + 8));
  if (!pdu) return nullptr;
  if (coap_pdu_parse(COAP_PROTO_UDP, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), pdu.get()) ==
      0) {
    return nullptr;
  }
  return pdu;
}

}  // namespace trunkline::test
