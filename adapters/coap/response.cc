// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/response.h"

#include <coap3/coap.h>

#include <array>
#include <utility>

namespace trunkline::coap {

namespace {

bool add_uint(coap_pdu_t* pdu, coap_option_num_t number, std::uint32_t value) {
  std::array<std::uint8_t, 4> bytes{};
  const auto length = coap_encode_var_safe(bytes.data(), bytes.size(), value);
  return coap_add_option(pdu, number, length, bytes.data()) != 0;
}

bool add_long(coap_pdu_t* pdu, unsigned number, std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  const auto length = coap_encode_var_safe8(bytes.data(), bytes.size(), value);
  return coap_add_option(pdu, static_cast<coap_option_num_t>(number), length, bytes.data()) != 0;
}

bool add_text(coap_pdu_t* pdu, coap_option_num_t number, const std::string& text) {
  return coap_add_option(pdu, number, text.size(), reinterpret_cast<const std::uint8_t*>(text.data())) != 0;
}

bool add_etag(coap_pdu_t* pdu, std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  for (auto& byte : bytes) {
    byte = static_cast<std::uint8_t>(value >> 56);
    value <<= 8;
  }
  return coap_add_option(pdu, COAP_OPTION_ETAG, bytes.size(), bytes.data()) != 0;
}

coap_pdu_code_t code_of(const Response& response) {
  return response.post ? COAP_REQUEST_CODE_POST : static_cast<coap_pdu_code_t>(response.code);
}

}  // namespace

// Options in the order of their numbers, as libcoap 4.3.1 wants them.
bool fill(coap_pdu_t* pdu, const Response& response) {
  bool ok = true;
  coap_pdu_set_code(pdu, code_of(response));
  if (response.etag) ok = ok && add_etag(pdu, *response.etag);
  if (response.observe) ok = ok && add_uint(pdu, COAP_OPTION_OBSERVE, *response.observe);
  for (const auto& segment : response.path) ok = ok && add_text(pdu, COAP_OPTION_URI_PATH, segment);
  if (response.content_format) ok = ok && add_uint(pdu, COAP_OPTION_CONTENT_FORMAT, *response.content_format);
  if (response.max_age) ok = ok && add_uint(pdu, COAP_OPTION_MAXAGE, *response.max_age);
  for (const auto& query : response.queries) ok = ok && add_text(pdu, COAP_OPTION_URI_QUERY, query);
  for (const auto& query : response.location_queries) ok = ok && add_text(pdu, COAP_OPTION_LOCATION_QUERY, query);
  if (response.block2) ok = ok && add_uint(pdu, COAP_OPTION_BLOCK2, *response.block2);
  if (response.block1) ok = ok && add_uint(pdu, COAP_OPTION_BLOCK1, *response.block1);
  if (response.size2) ok = ok && add_uint(pdu, COAP_OPTION_SIZE2, *response.size2);
  if (response.size1) ok = ok && add_uint(pdu, COAP_OPTION_SIZE1, *response.size1);
  if (response.own_option) ok = ok && add_long(pdu, response.own_option->first, response.own_option->second);
  if (!response.payload.empty()) {
    ok = ok && coap_add_data(pdu, response.payload.size(),
                             reinterpret_cast<const std::uint8_t*>(response.payload.data())) != 0;
  }
  return ok;
}

bool send(coap_session_t* session, bool confirmable, const Token& token, const Response& response) {
  // libcoap would queue it for a handshake that never comes.
  if (coap_session_get_state(session) != COAP_SESSION_STATE_ESTABLISHED) return false;
  auto* pdu = coap_pdu_init(confirmable ? COAP_MESSAGE_CON : COAP_MESSAGE_NON, code_of(response),
                            coap_new_message_id(session), coap_session_max_pdu_size(session));
  if (pdu == nullptr) return false;
  if (coap_add_token(pdu, token.size, token.bytes.data()) == 0 || !fill(pdu, response)) {
    coap_delete_pdu(pdu);
    return false;
  }
  return coap_send(session, pdu) != COAP_INVALID_MID;
}

Session::Session(coap_session_t* session) : session_(coap_session_reference(session)) {}
Session::Session(Session&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
Session& Session::operator=(Session&& other) noexcept {
  std::swap(session_, other.session_);
  return *this;
}
Session::~Session() {
  if (session_ != nullptr) coap_session_release(session_);
}

}  // namespace trunkline::coap
