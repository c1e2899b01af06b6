// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/coap/bare_server.h"

#include <coap3/coap.h>
#include <poll.h>

#include <cstdlib>
#include <cstring>

#include "adapters/coap/endpoint_socket.h"

namespace trunkline::bench {

namespace {

void on_request(coap_resource_t* /*resource*/, coap_session_t* /*session*/, const coap_pdu_t* /*request*/,
                const coap_string_t* /*query*/, coap_pdu_t* response) {
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CHANGED);
}

}  // namespace

void serve_bare(bool secure, const std::string& key, const std::function<void(std::uint16_t)>& ready) {
  coap_set_log_level(LOG_EMERG);
  auto* context = coap_new_context(nullptr);
  coap_context_set_max_handshake_sessions(context, 5000);
  auto* resource = coap_resource_unknown_init(on_request);
  coap_register_request_handler(resource, COAP_REQUEST_POST, on_request);
  coap_add_resource(context, resource);
  if (secure) {
    coap_dtls_spsk_t psk{};
    psk.version = COAP_DTLS_SPSK_SETUP_VERSION;
    psk.psk_info.key = {key.size(), reinterpret_cast<const std::uint8_t*>(key.data())};
    coap_context_set_psk2(context, &psk);
  }
  coap_address_t address;
  coap_address_init(&address);
  address.size = sizeof address.addr.sin;
  address.addr.sin.sin_family = AF_INET;
  address.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* endpoint = coap_new_endpoint(context, &address, secure ? COAP_PROTO_DTLS : COAP_PROTO_UDP);
  if (endpoint == nullptr) std::abort();
  // The same receive buffer as the adapter has, else many datagrams of a thousand peers would be lost and cost nothing.
  if (!coap::EndpointSocket::find(coap_context_get_coap_fd(context))) std::abort();
  const std::string text = coap_endpoint_str(endpoint);
  const auto colon = text.find(':');
  ready(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
  pollfd wait{coap_context_get_coap_fd(context), POLLIN, 0};
  while (::poll(&wait, 1, -1) >= 0) coap_io_process(context, COAP_IO_NO_WAIT);
}

}  // namespace trunkline::bench
