// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/dtls_contexts.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atomic>
#include <memory>
#include <utility>

#include "adapters/coap/handshake_gate.h"
#include "gateway/base/check.h"

namespace trunkline::coap {

namespace {

thread_local DtlsContexts* collecting = nullptr;

// OpenSSL calls it for each context of the process; only those of a thread that collects count.
void on_new(void* parent, void* /*value*/, CRYPTO_EX_DATA* /*all*/, int /*index*/, long /*number*/, void* /*pointer*/) {
  DtlsContexts::on_made(parent);
}

int index() {
  static const int value = SSL_CTX_get_ex_new_index(0, nullptr, on_new, nullptr, nullptr);
  TRUNKLINE_CHECK(value >= 0, "OpenSSL has an index for us");
  return value;
}

int refuse_to_generate(SSL* /*ssl*/, unsigned char* /*cookie*/, unsigned int* /*size*/) {
  return 0;  // only what has passed with a cookie comes here
}

int verify(SSL* ssl, const unsigned char* cookie, unsigned int size) {
  const auto* check = static_cast<const CookieCheck*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index()));
  return (*check)({reinterpret_cast<const char*>(cookie), size}) ? 1 : 0;
}

using Judge = int (*)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);

// What OpenSSL says of levels of security by itself; one for all contexts.
std::atomic<Judge> judge = nullptr;

// CoAP's own ciphers have check values of 8 bytes (RFC 7252 sections 9.1.3.1 to 9.1.3.3), which newer versions of
// OpenSSL rate at 64 bits and refuse. A datagram that fails its check is dropped and counted as nothing, so guessing
// is one try for each; everything else stays at the level of the system.
int allow_short_check(const SSL* ssl, const SSL_CTX* context, int operation, int bits, int number, void* other,
                      void* extra) {
  constexpr int kShort = 64;
  if ((operation & SSL_SECOP_OTHER_TYPE) == SSL_SECOP_OTHER_CIPHER && other != nullptr && bits == kShort) {
    const std::string_view name = SSL_CIPHER_get_name(static_cast<const SSL_CIPHER*>(other));
    if (name.ends_with("CCM8")) return 1;
  }
  return judge.load()(ssl, context, operation, bits, number, other, extra);
}

}  // namespace

DtlsContexts::DtlsContexts() : outer_(collecting) {
  index();
  collecting = this;
}

DtlsContexts::~DtlsContexts() {
  collecting = outer_;
}

void DtlsContexts::on_made(void* context) {
  if (collecting != nullptr) collecting->made_.push_back(static_cast<SSL_CTX*>(context));
}

void DtlsContexts::configure(const CookieCheck& check) const {
  TRUNKLINE_CHECK(!made_.empty(), "libcoap has made its contexts");
  for (auto* context : made_) {
    if (judge == nullptr) judge = SSL_CTX_get_security_callback(context);
    SSL_CTX_set_security_callback(context, allow_short_check);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_ex_data(context, index(), const_cast<CookieCheck*>(&check));
    SSL_CTX_set_cookie_generate_cb(context, refuse_to_generate);
    SSL_CTX_set_cookie_verify_cb(context, verify);
  }
}

std::size_t least_record(const SSL* ssl) {
  const auto* cipher = ssl == nullptr ? nullptr : SSL_get_current_cipher(ssl);
  if (cipher == nullptr) return HandshakeGate::kLeastRecord;
  const std::string_view name = SSL_CIPHER_get_name(cipher);
  const bool longer = name.find("GCM") != std::string_view::npos || name.ends_with("CCM");
  return HandshakeGate::kLeastRecord + (longer ? 8 : 0);
}

Result<void> check_files(const std::string& cert, const std::string& key, const std::string& ca_file) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> probe(SSL_CTX_new(DTLS_server_method()), SSL_CTX_free);
  std::string wrong;
  if (SSL_CTX_use_certificate_chain_file(probe.get(), cert.c_str()) != 1) {
    wrong = "coap.cert: no certificate can be read from " + cert;
  } else if (SSL_CTX_use_PrivateKey_file(probe.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    wrong = "coap.key: the certificate's key cannot be read from " + key;
  } else if (SSL_CTX_load_verify_locations(probe.get(), ca_file.c_str(), nullptr) != 1) {
    wrong = "coap.ca_file: no certificate can be read from " + ca_file;
  }
  ERR_clear_error();
  if (wrong.empty()) return {};
  return fail(ErrorCode::invalid, std::move(wrong));
}

}  // namespace trunkline::coap
