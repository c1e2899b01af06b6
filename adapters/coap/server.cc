// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/server.h"

#include <coap3/coap.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "adapters/coap/certificate_name.h"
#include "adapters/coap/request_reader.h"
#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "gateway/net/endpoint.h"

namespace trunkline::coap {

namespace {

void on_library_log(coap_log_t /*level*/, const char* message) {
  std::string_view text(message);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  // What a peer sent wrongly is not ours to warn about, and it can send it as often as it likes.
  log::debug("coap_library_said", {{"adapter", "coap"}, {"error", text}});
}

Result<coap_address_t> resolve(const std::string& listen) {
  const auto endpoint = net::Endpoint::parse(listen);
  if (!endpoint) return fail(endpoint.error());
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(endpoint->host.c_str(), std::to_string(endpoint->port).c_str(), &hints, &found);
  if (error != 0) return fail(ErrorCode::not_found, listen + ": " + ::gai_strerror(error));
  coap_address_t out;
  coap_address_init(&out);
  out.size = found->ai_addrlen;
  std::memcpy(&out.addr, found->ai_addr, std::min<std::size_t>(found->ai_addrlen, sizeof out.addr));
  ::freeaddrinfo(found);
  return out;
}

// libcoap binds with SO_REUSEADDR, which on UDP lets two processes share a port and split the datagrams. A socket
// without that option finds out.
Result<void> check_free(const coap_address_t& address, const std::string& text) {
  const int probe = ::socket(address.addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return fail(ErrorCode::unavailable, "listening on " + text + ": " + errno_text(errno));
  const int bound = ::bind(probe, &address.addr.sa, address.size);
  const int error = errno;
  ::close(probe);
  if (bound == 0) return {};
  const auto code = error == EACCES ? ErrorCode::denied : ErrorCode::unavailable;
  return fail(code, "listening on " + text + ": " + errno_text(error));
}

struct FreeContext {
  void operator()(coap_context_t* context) const { coap_free_context(context); }
};

std::string_view view(const coap_bin_const_t* bytes) {
  if (bytes == nullptr || bytes->s == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes->s), bytes->length};
}

Token token_of(const coap_pdu_t* pdu) {
  Token out;
  const auto bytes = coap_pdu_get_token(pdu);
  out.size = static_cast<std::uint8_t>(std::min(bytes.length, out.bytes.size()));
  std::copy_n(bytes.s, out.size, out.bytes.begin());
  return out;
}

// A resumed session would skip the look at the key, which may be gone since: every one is proven anew.
void forbid_resumption(SSL* ssl) {
  SSL_set_options(ssl, SSL_OP_NO_TICKET);
  auto* context = SSL_get_SSL_CTX(ssl);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

class LibcoapServer final : public Server {
 public:
  LibcoapServer(Options options, Handler& handler) : options_(std::move(options)), handler_(handler) {}
  ~LibcoapServer() override {
    // What is dropped with the context is no news.
    if (!context_) return;
    coap_register_nack_handler(context_.get(), nullptr);
    coap_register_event_handler(context_.get(), nullptr);
    coap_register_response_handler(context_.get(), nullptr);
  }

  Result<void> listen() {
    const auto& text = options_.listen;
    const auto address = resolve(text);
    if (!address) return fail(address.error().in(options_.secure ? "coap.listen_dtls" : "coap.listen"));
    if (auto free = check_free(*address, text); !free) return free;
    coap_set_log_handler(on_library_log);
    const auto level = log::enabled(log::Level::debug) ? LOG_WARNING : LOG_EMERG;
    coap_set_log_level(level);
    coap_dtls_set_log_level(level);
    context_.reset(coap_new_context(nullptr));
    if (!context_) return fail(ErrorCode::internal, "libcoap cannot make a context");
    coap_set_app_data(context_.get(), this);
    coap_context_set_max_idle_sessions(context_.get(), options_.max_sessions);
    coap_context_set_max_handshake_sessions(context_.get(), options_.max_handshakes);
    coap_context_set_session_timeout(
        context_.get(), static_cast<unsigned>(std::max<std::int64_t>(options_.session_timeout.count() / 1000, 1)));
    coap_register_nack_handler(context_.get(), on_nack);
    coap_register_event_handler(context_.get(), on_event);
    coap_register_response_handler(context_.get(), on_answer);
    // All requests come to one place: the map decides, not libcoap's list of resources.
    auto* resource = coap_resource_unknown_init(on_request);
    if (resource == nullptr) return fail(ErrorCode::internal, "libcoap cannot make a resource");
    for (const auto method : {COAP_REQUEST_GET, COAP_REQUEST_POST, COAP_REQUEST_DELETE, COAP_REQUEST_FETCH,
                              COAP_REQUEST_PATCH, COAP_REQUEST_IPATCH}) {
      coap_register_request_handler(resource, method, on_request);
    }
    coap_add_resource(context_.get(), resource);
    if (options_.secure) {
      if (auto ready = set_credentials(); !ready) return ready;
    }
    errno = 0;
    endpoint_ = coap_new_endpoint(context_.get(), &*address, options_.secure ? COAP_PROTO_DTLS : COAP_PROTO_UDP);
    if (endpoint_ == nullptr) {
      return fail(ErrorCode::unavailable, "listening on " + text + ": " + errno_text(errno));
    }
    if (coap_context_get_coap_fd(context_.get()) < 0) return fail(ErrorCode::internal, "libcoap came without epoll");
    return {};
  }

  bool secure() const override { return options_.secure; }

  std::string local() const override {
    std::string text = coap_endpoint_str(endpoint_);
    return text.substr(0, text.find(' '));
  }

  int descriptor() const override { return coap_context_get_coap_fd(context_.get()); }

  void serve(unsigned datagrams) override {
    for (unsigned i = 0; i < datagrams; ++i) {
      pollfd ready{descriptor(), POLLIN, 0};
      if (::poll(&ready, 1, 0) <= 0) return;
      coap_io_process(context_.get(), COAP_IO_NO_WAIT);
      for (const auto& session : std::exchange(ending_, {})) {
        coap_session_disconnected(session.get(), COAP_NACK_TLS_FAILED);
      }
    }
  }

  std::optional<Session> connect(const std::string& host, std::uint16_t port) override {
    const auto address = resolve(net::Endpoint{host, port}.text());
    if (!address) return std::nullopt;
    auto* session = coap_new_client_session(context_.get(), nullptr, &*address, COAP_PROTO_UDP);
    if (session == nullptr) return std::nullopt;
    return Session(session, Session::Own{});
  }

  void end(coap_session_t* session) override {
    auto& server = self(session);
    if (server.options_.secure) server.ending_.emplace_back(session);
  }

  std::size_t sessions() const override { return sessions_; }
  std::size_t handshakes() const override { return options_.secure ? sessions_ - connected_.size() : 0; }

  bool idle() const override { return coap_can_exit(context_.get()) != 0; }

 private:
  static LibcoapServer& self(const coap_session_t* session) {
    return *static_cast<LibcoapServer*>(coap_get_app_data(coap_session_get_context(session)));
  }

  Result<void> set_credentials() {
    // libcoap sees that a client wants a pre-shared key only if there is one of the context; it is never used, and
    // nobody knows it.
    const Secret unused(random_bytes(32));
    coap_dtls_spsk_t psk{};
    psk.version = COAP_DTLS_SPSK_SETUP_VERSION;
    psk.psk_info.key.s = reinterpret_cast<const std::uint8_t*>(unused.reveal().data());
    psk.psk_info.key.length = unused.reveal().size();
    psk.validate_id_call_back = on_identity;
    psk.id_call_back_arg = this;
    if (coap_context_set_psk2(context_.get(), &psk) == 0) {
      return fail(ErrorCode::internal, "libcoap cannot use pre-shared keys");
    }
    if (options_.cert.empty()) return {};
    if (auto good = check_files(); !good) return good;
    coap_dtls_pki_t pki{};
    pki.version = COAP_DTLS_PKI_SETUP_VERSION;
    pki.verify_peer_cert = 1;
    pki.check_common_ca = 1;
    pki.cert_chain_validation = 1;
    pki.cert_chain_verify_depth = 3;
    pki.validate_cn_call_back = on_certificate;
    pki.cn_call_back_arg = this;
    pki.additional_tls_setup_call_back = [](void* ssl, coap_dtls_pki_t* /*setup*/) {
      if (ssl != nullptr) forbid_resumption(static_cast<SSL*>(ssl));
      return 1;
    };
    pki.pki_key.key_type = COAP_PKI_KEY_PEM;
    pki.pki_key.key.pem = {options_.ca_file.c_str(), options_.cert.c_str(), options_.key.c_str()};
    if (coap_context_set_pki(context_.get(), &pki) == 0) {
      return fail(ErrorCode::internal, "libcoap cannot use the certificate");
    }
    return {};
  }

  // libcoap looks at them only when a device comes.
  [[nodiscard]] Result<void> check_files() const {
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> probe(SSL_CTX_new(DTLS_server_method()), SSL_CTX_free);
    std::string wrong;
    if (SSL_CTX_use_certificate_chain_file(probe.get(), options_.cert.c_str()) != 1) {
      wrong = "coap.cert: no certificate can be read from " + options_.cert;
    } else if (SSL_CTX_use_PrivateKey_file(probe.get(), options_.key.c_str(), SSL_FILETYPE_PEM) != 1) {
      wrong = "coap.key: the certificate's key cannot be read from " + options_.key;
    } else if (SSL_CTX_load_verify_locations(probe.get(), options_.ca_file.c_str(), nullptr) != 1) {
      wrong = "coap.ca_file: no certificate can be read from " + options_.ca_file;
    }
    ERR_clear_error();
    if (wrong.empty()) return {};
    return fail(ErrorCode::invalid, std::move(wrong));
  }

  static const coap_bin_const_t* on_identity(coap_bin_const_t* identity, coap_session_t* session, void* arg) {
    auto& server = *static_cast<LibcoapServer*>(arg);
    coap_tls_library_t library = COAP_TLS_LIBRARY_NOTLS;
    if (auto* ssl = coap_session_get_tls(session, &library); ssl != nullptr && library == COAP_TLS_LIBRARY_OPENSSL) {
      forbid_resumption(static_cast<SSL*>(ssl));
    }
    auto key = server.handler_.key_of(view(identity));
    if (!key) return nullptr;
    server.key_ = std::move(*key);  // libcoap copies it when this returns
    server.key_view_ = {server.key_.reveal().size(),
                        reinterpret_cast<const std::uint8_t*>(server.key_.reveal().data())};
    return &server.key_view_;
  }

  static int on_certificate(const char* /*cn*/, const std::uint8_t* der, std::size_t size, coap_session_t* session,
                            unsigned depth, int validated, void* arg) {
    if (validated == 0) return 0;
    if (depth != 0) return 1;
    auto& server = *static_cast<LibcoapServer*>(arg);
    auto name = certificate_name(der, size);
    if (name.empty() || !server.handler_.knows_certificate(name)) return 0;
    server.certificates_[session] = std::move(name);
    return 1;
  }

  [[nodiscard]] Speaker speaker(const coap_session_t* session) const {
    Speaker out;
    out.peer = read_peer(coap_session_get_addr_remote(session));
    out.secure = options_.secure;
    out.crowded = sessions_ > options_.max_sessions;
    if (!out.secure) return out;
    if (const auto certificate = certificates_.find(session); certificate != certificates_.end()) {
      out.identity = certificate->second;
      return out;
    }
    out.identity = view(coap_session_get_psk_identity(session));
    out.key = view(coap_session_get_psk_key(session));
    // Without a key it proves nothing.
    if (out.key.empty()) out.identity = {};
    return out;
  }

  static void on_request(coap_resource_t* /*resource*/, coap_session_t* session, const coap_pdu_t* pdu,
                         const coap_string_t* /*query*/, coap_pdu_t* response) {
    const auto request = read_request(pdu);
    auto& server = self(session);
    const auto answer = server.handler_.on_request(request, server.speaker(session), session);
    if (answer.code == Code::none || fill(response, answer)) return;
    coap_pdu_set_code(response, static_cast<coap_pdu_code_t>(Code::internal_error));
  }

  static coap_response_t on_answer(coap_session_t* session, const coap_pdu_t* /*sent*/, const coap_pdu_t* received,
                                   coap_mid_t /*mid*/) {
    coap_opt_iterator_t at;
    std::optional<Block> block1;
    if (const auto* option = coap_check_option(received, COAP_OPTION_BLOCK1, &at); option != nullptr) {
      const auto length = coap_opt_length(option);
      if (length <= 3) block1 = Block::parse(coap_decode_var_bytes(coap_opt_value(option), length));
    }
    self(session).handler_.on_answer(session, token_of(received), static_cast<Code>(coap_pdu_get_code(received)),
                                     block1);
    return COAP_RESPONSE_OK;
  }

  static void on_nack(coap_session_t* session, const coap_pdu_t* sent, coap_nack_reason_t /*reason*/,
                      coap_mid_t /*mid*/) {
    if (sent != nullptr) self(session).handler_.on_undelivered(session, token_of(sent));
  }

  static int on_event(coap_session_t* session, coap_event_t event) {
    auto& server = self(session);
    switch (event) {
      case COAP_EVENT_SERVER_SESSION_NEW:
        ++server.sessions_;
        break;
      case COAP_EVENT_DTLS_CONNECTED:
        server.connected_.insert(session);
        break;
      case COAP_EVENT_DTLS_CLOSED:
      case COAP_EVENT_DTLS_ERROR:
        server.handler_.on_closed(session);
        break;
      case COAP_EVENT_SERVER_SESSION_DEL:
        if (server.sessions_ > 0) --server.sessions_;
        server.connected_.erase(session);
        server.certificates_.erase(session);
        break;
      default:
        break;
    }
    return 0;
  }

  const Options options_;
  Handler& handler_;
  std::size_t sessions_ = 0;
  std::unordered_set<const coap_session_t*> connected_;  // those whose handshake is done
  std::unordered_map<const coap_session_t*, std::string> certificates_;
  Secret key_;  // of the handshake at hand
  coap_bin_const_t key_view_{};
  std::unique_ptr<coap_context_t, FreeContext> context_;
  std::vector<Session> ending_;
  coap_endpoint_t* endpoint_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const Options& options, Handler& handler) {
  auto out = std::make_unique<LibcoapServer>(options, handler);
  if (auto listening = out->listen(); !listening) return fail(listening.error());
  return out;
}

}  // namespace trunkline::coap
