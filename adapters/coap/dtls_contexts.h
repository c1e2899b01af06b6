// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/result.h"

namespace trunkline::coap {

// Is this the cookie of the handshake that may begin now?
using CookieCheck = std::function<bool(std::string_view cookie)>;

// The OpenSSL contexts that libcoap makes for itself and does not show: those made on this thread while this lives.
// Used around coap_new_context, on the stack.
class DtlsContexts {
 public:
  DtlsContexts();
  ~DtlsContexts();
  DtlsContexts(const DtlsContexts&) = delete;
  DtlsContexts& operator=(const DtlsContexts&) = delete;

  // Sessions are never resumed, and `check`, which outlives them, judges cookies instead of libcoap.
  void configure(const CookieCheck& check) const;

  // Adds one; called by OpenSSL.
  static void on_made(void* context);

 private:
  std::vector<SSL_CTX*> made_;
  DtlsContexts* outer_;
};

// How many bytes a record of the session's cipher has at least: explicit nonce and check value (RFC 5288, 6655, 7905).
std::size_t least_record(const SSL* ssl);

// Can a certificate, its key and the authority of the devices be read?
Result<void> check_files(const std::string& cert, const std::string& key, const std::string& ca_file);

}  // namespace trunkline::coap
