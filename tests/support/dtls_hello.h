// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

namespace trunkline::test {

// The first messages of a DTLS handshake that never goes on, as OpenSSL's client says them.
class DtlsHello {
 public:
  DtlsHello() {
    SSL_CTX_set_cipher_list(context_.get(), "PSK-AES128-CCM8:@SECLEVEL=0");
    SSL_CTX_set_psk_client_callback(context_.get(),
                                    [](SSL*, const char*, char*, unsigned, unsigned char*, unsigned) { return 0U; });
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_options(ssl_.get(), SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(ssl_.get(), 1400);
    SSL_set_connect_state(ssl_.get());
  }

  std::string first() { return step(); }
  // After the server's request to come back with a cookie; empty if that was not one.
  std::string next(std::string_view answer) {
    BIO_write(SSL_get_rbio(ssl_.get()), answer.data(), static_cast<int>(answer.size()));
    return step();
  }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::string step() {
    SSL_do_handshake(ssl_.get());
    ERR_clear_error();
    char* bytes = nullptr;
    auto* out = SSL_get_wbio(ssl_.get());
    const auto size = BIO_get_mem_data(out, &bytes);
    std::string said(bytes, static_cast<std::size_t>(size));
    (void)BIO_reset(out);
    return said;
  }

  std::unique_ptr<SSL_CTX, Free> context_{SSL_CTX_new(DTLS_client_method())};
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace trunkline::test
