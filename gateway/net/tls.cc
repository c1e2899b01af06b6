// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "gateway/net/connect.h"
#include "gateway/net/socket_stream.h"

namespace trunkline::net {

namespace {

using Context = asio::ssl::context;

// Asio's constructors throw; everything in here may.
std::shared_ptr<Context> modern_context(Context::method method) {
  auto context = std::make_shared<Context>(method);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  ERR_clear_error();
  return context;
}

tl::unexpected<Error> file_error(const std::string& file, const error_code& error) {
  ERR_clear_error();
  return fail(ErrorCode::invalid, file + ": " + error.message());
}

// Each context carries its lookup; each connection of a server the identity whose key it proved.
int psk_lookup_index() {
  static const int index =
      SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr,
                               [](void* /*parent*/, void* held, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/,
                                  void* /*argp*/) { delete static_cast<PskLookup*>(held); });
  return index;
}
int psk_identity_index() {
  static const int index =
      SSL_get_ex_new_index(0, nullptr, nullptr, nullptr,
                           [](void* /*parent*/, void* held, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/,
                              void* /*argp*/) { delete static_cast<std::string*>(held); });
  return index;
}

int own_identity_index() {
  static const int index =
      SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr,
                               [](void* /*parent*/, void* held, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/,
                                  void* /*argp*/) { delete static_cast<std::string*>(held); });
  return index;
}

// The client's side: 0 refuses the handshake.
unsigned show_psk(SSL* ssl, const char* /*hint*/, char* identity, unsigned most_identity, unsigned char* out,
                  unsigned most) {
  const auto* context = SSL_get_SSL_CTX(ssl);
  const auto* lookup = static_cast<PskLookup*>(SSL_CTX_get_ex_data(context, psk_lookup_index()));
  const auto* own = static_cast<std::string*>(SSL_CTX_get_ex_data(context, own_identity_index()));
  if (lookup == nullptr || own == nullptr || own->size() >= most_identity) return 0;
  const auto key = (*lookup)(*own);
  if (!key || key->reveal().size() > most || key->reveal().empty()) return 0;
  std::copy(own->begin(), own->end(), identity);
  identity[own->size()] = '\0';
  std::copy(key->reveal().begin(), key->reveal().end(), out);
  return static_cast<unsigned>(key->reveal().size());
}

// RFC 4279 and, by OpenSSL's own translation, RFC 8446 section 4.2.11. 0 refuses the handshake.
unsigned give_psk(SSL* ssl, const char* identity, unsigned char* out, unsigned most) {
  const auto* lookup = static_cast<PskLookup*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), psk_lookup_index()));
  if (lookup == nullptr || identity == nullptr) return 0;
  const auto key = (*lookup)(identity);
  if (!key || key->reveal().size() > most || key->reveal().empty()) return 0;
  std::copy(key->reveal().begin(), key->reveal().end(), out);
  delete static_cast<std::string*>(SSL_get_ex_data(ssl, psk_identity_index()));
  SSL_set_ex_data(ssl, psk_identity_index(), new std::string(identity));
  return static_cast<unsigned>(key->reveal().size());
}

}  // namespace

bool expects_psk(SSL* ssl) {
  return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), own_identity_index()) != nullptr;
}

Result<std::shared_ptr<Context>> tls_client_context(TlsClientOptions options) {
  try {
    auto context = modern_context(Context::tls_client);
    error_code error;
    auto* handle = context->native_handle();
    if (options.psk) {
      // Nobody's certificate is trusted then, so that a peer cannot do without the key.
      SSL_CTX_set_ex_data(handle, own_identity_index(), new std::string(std::move(options.psk_identity)));
      SSL_CTX_set_ex_data(handle, psk_lookup_index(), new PskLookup(std::move(options.psk)));
      SSL_CTX_set_psk_client_callback(handle, show_psk);
    } else if (options.ca_file.empty()) {
      context->set_default_verify_paths(error);
      if (error) return file_error("the system's certificate store", error);
    } else {
      context->load_verify_file(options.ca_file, error);
      if (error) return file_error(options.ca_file, error);
    }
    if (!options.certificate_file.empty()) {
      context->use_certificate_chain_file(options.certificate_file, error);
      if (error) return file_error(options.certificate_file, error);
      context->use_private_key_file(options.key_file, Context::pem, error);
      if (error) return file_error(options.key_file, error);
    }
    context->set_verify_mode(asio::ssl::verify_peer);
    return context;
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string("TLS: ") + e.what());
  }
}

std::string peer_identity(SSL* ssl) {
  if (const auto* proved = static_cast<std::string*>(SSL_get_ex_data(ssl, psk_identity_index()))) return *proved;
  auto* certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == nullptr) return {};
  std::string out;
  if (SSL_get_verify_result(ssl) == X509_V_OK) {
    auto* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char* text = nullptr;
    const int size =
        at < 0 ? -1 : ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size > 0) out.assign(text, text + size);
    OPENSSL_free(text);
  }
  X509_free(certificate);
  return out;
}

Result<std::shared_ptr<Context>> tls_server_context(const std::string& certificate_file, const std::string& key_file) {
  return tls_server_context(TlsServerOptions{certificate_file, key_file, {}, {}});
}

Result<std::shared_ptr<Context>> tls_server_context(TlsServerOptions options) {
  try {
    auto context = modern_context(Context::tls_server);
    auto* handle = context->native_handle();
    error_code error;
    if (!options.certificate_file.empty()) {
      context->use_certificate_chain_file(options.certificate_file, error);
      if (error) return file_error(options.certificate_file, error);
      context->use_private_key_file(options.key_file, Context::pem, error);
      if (error) return file_error(options.key_file, error);
    }
    if (!options.ca_file.empty()) {
      context->load_verify_file(options.ca_file, error);
      if (error) return file_error(options.ca_file, error);
      // In a handshake by key OpenSSL asks for no certificate, whatever this says.
      context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
    }
    if (!options.ca_file.empty() || options.psk) {
      // Each handshake proves its client anew.
      SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
      SSL_CTX_set_num_tickets(handle, 0);
      SSL_CTX_set_options(handle, SSL_OP_NO_TICKET);
    }
    if (options.psk) {
      SSL_CTX_set_ex_data(handle, psk_lookup_index(), new PskLookup(std::move(options.psk)));
      SSL_CTX_set_psk_server_callback(handle, give_psk);
    }
    return context;
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string("TLS: ") + e.what());
  }
}

}  // namespace trunkline::net
