// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "gateway/net/connect.h"

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

}  // namespace

Result<std::shared_ptr<Context>> tls_client_context(const TlsClientOptions& options) {
  try {
    auto context = modern_context(Context::tls_client);
    error_code error;
    if (options.ca_file.empty()) {
      context->set_default_verify_paths(error);
      if (error) return file_error("the system's certificate store", error);
    } else {
      context->load_verify_file(options.ca_file, error);
      if (error) return file_error(options.ca_file, error);
    }
    context->set_verify_mode(asio::ssl::verify_peer);
    return context;
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string("TLS: ") + e.what());
  }
}

Result<std::shared_ptr<Context>> tls_server_context(const std::string& certificate_file, const std::string& key_file) {
  try {
    auto context = modern_context(Context::tls_server);
    error_code error;
    context->use_certificate_chain_file(certificate_file, error);
    if (error) return file_error(certificate_file, error);
    context->use_private_key_file(key_file, Context::pem, error);
    if (error) return file_error(key_file, error);
    return context;
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string("TLS: ") + e.what());
  }
}

}  // namespace trunkline::net
