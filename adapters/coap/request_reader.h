// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/coap/request.h"

// libcoap's, so that only sources see its headers.
extern "C" {
struct coap_pdu_t;
struct coap_address_t;
}

namespace trunkline::coap {

// Reads a request that libcoap has parsed. The payload points into `pdu`.
Request read_request(const coap_pdu_t* pdu);

// Where it came from.
Peer read_peer(const coap_address_t* address);

}  // namespace trunkline::coap
