// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/server.h"

#include <coap3/coap.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>
#include <utility>
#include <vector>

#include "adapters/coap/certificate_name.h"
#include "adapters/coap/dtls_contexts.h"
#include "adapters/coap/endpoint_socket.h"
#include "adapters/coap/handshake_gate.h"
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

SSL* tls_of(coap_session_t* session) {
  coap_tls_library_t library = COAP_TLS_LIBRARY_NOTLS;
  return static_cast<SSL*>(coap_session_get_tls(session, &library));
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

class LibcoapServer final : public Server {
 public:
  LibcoapServer(Options options, Handler& handler, const Clock& clock)
      : options_(std::move(options)),
        handler_(handler),
        clock_(clock),
        gate_(options_.max_handshakes, random_bytes(32)),
        check_([this](std::string_view cookie) { return gate_.passed(cookie); }) {}
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
    {
      const DtlsContexts contexts;
      context_.reset(coap_new_context(nullptr));
      if (context_) contexts.configure(check_);
    }
    if (!context_) return fail(ErrorCode::internal, "libcoap cannot make a context");
    coap_set_app_data(context_.get(), this);
    // A plain peer that is quiet costs nothing to forget. Room stays for those to whom something is on its way.
    coap_context_set_max_idle_sessions(context_.get(), options_.secure ? options_.max_sessions : idle_plain_sessions());
    // The gate keeps the limit; libcoap's own one would keep everybody out.
    coap_context_set_max_handshake_sessions(context_.get(), 4 * options_.max_handshakes);
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
    socket_ = EndpointSocket::find(descriptor());
    if (!socket_) return fail(ErrorCode::internal, "listening on " + text + ": its socket is not in /proc/self/fdinfo");
    return {};
  }

  bool secure() const override { return options_.secure; }

  std::string local() const override {
    std::string text = coap_endpoint_str(endpoint_);
    return text.substr(0, text.find(' '));
  }

  int descriptor() const override { return coap_context_get_coap_fd(context_.get()); }

  void serve(unsigned datagrams) override {
    for (unsigned i = 0; i < datagrams && readable(); ++i) {
      const auto next = options_.secure ? look_at_next() : Next::pass;
      if (next == Next::dealt_with) continue;
      if (next == Next::pass || !only_timers()) coap_io_process(context_.get(), COAP_IO_NO_WAIT);
      if (born_ != nullptr) bury_stillborn();
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
  std::size_t handshakes() const override { return gate_.handshakes(); }

  bool idle() const override { return coap_can_exit(context_.get()) != 0; }

 private:
  static LibcoapServer& self(const coap_session_t* session) {
    return *static_cast<LibcoapServer*>(coap_get_app_data(coap_session_get_context(session)));
  }

  [[nodiscard]] unsigned idle_plain_sessions() const { return std::max(options_.max_sessions / 4, 1U); }

  [[nodiscard]] bool readable() const {
    pollfd ready{descriptor(), POLLIN, 0};
    return ::poll(&ready, 1, 0) > 0;
  }

  enum class Next { pass, dealt_with, nothing };
  // Looks at the next datagram before libcoap reads it.
  Next look_at_next() {
    const auto datagram = socket_->peek();
    if (!datagram) return Next::nothing;
    const auto verdict = gate_.on_datagram(datagram->peer, datagram->bytes, clock_.steady());
    if (verdict.end != nullptr) replace(static_cast<coap_session_t*>(verdict.end));
    if (verdict.kind == HandshakeGate::Verdict::Kind::pass) return Next::pass;
    socket_->discard(verdict.answer);
    return Next::dealt_with;
  }

  // Without a datagram it is a timer, and libcoap must not read what arrives meanwhile and was not looked at. False: it
  // is another socket, of a push.
  bool only_timers() {
    coap_tick_t now = 0;
    coap_ticks(&now);
    coap_io_prepare_epoll(context_.get(), now);
    return !readable() || socket_->peek().has_value();
  }

  // Ends a session whose peer begins anew. It is not told: what it would hear belongs to another life.
  static void replace(coap_session_t* session) {
    if (auto* ssl = tls_of(session); ssl != nullptr) SSL_set_quiet_shutdown(ssl, 1);
    coap_session_disconnected(session, COAP_NACK_TLS_FAILED);
  }

  // A handshake that fails at its first message is freed by libcoap without a word.
  void bury_stillborn() {
    auto* session = std::exchange(born_, nullptr);
    if (coap_session_get_by_peer(context_.get(), &born_peer_, born_interface_) != session) forget(session);
  }

  void remember(coap_session_t* session) {
    ++sessions_;
    if (!options_.secure) return;
    lives_[session] = random_seed();
    born_ = session;
    born_peer_ = *coap_session_get_addr_remote(session);
    born_interface_ = coap_session_get_ifindex(session);
    gate_.on_session(session, read_peer(&born_peer_), clock_.steady());
  }

  void forget(coap_session_t* session) {
    if (sessions_ > 0) --sessions_;
    if (born_ == session) born_ = nullptr;
    gate_.on_gone(session);
    certificates_.erase(session);
    lives_.erase(session);
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
    // libcoap looks at them only when a device comes.
    if (auto good = check_files(options_.cert, options_.key, options_.ca_file); !good) return good;
    coap_dtls_pki_t pki{};
    pki.version = COAP_DTLS_PKI_SETUP_VERSION;
    pki.verify_peer_cert = 1;
    pki.check_common_ca = 1;
    pki.cert_chain_validation = 1;
    pki.cert_chain_verify_depth = 3;
    pki.validate_cn_call_back = on_certificate;
    pki.cn_call_back_arg = this;
    pki.pki_key.key_type = COAP_PKI_KEY_PEM;
    pki.pki_key.key.pem = {options_.ca_file.c_str(), options_.cert.c_str(), options_.key.c_str()};
    if (coap_context_set_pki(context_.get(), &pki) == 0) {
      return fail(ErrorCode::internal, "libcoap cannot use the certificate");
    }
    return {};
  }

  static const coap_bin_const_t* on_identity(coap_bin_const_t* identity, coap_session_t* /*session*/, void* arg) {
    auto& server = *static_cast<LibcoapServer*>(arg);
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
    if (const auto life = lives_.find(session); life != lives_.end()) out.peer.life = life->second;
    out.secure = options_.secure;
    out.crowded = sessions_ > options_.max_sessions;
    // Beyond the idle ones, a quarter of the room is taken by peers that do not acknowledge.
    out.crowding = !out.secure && sessions_ > options_.max_sessions / 2;
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
    const auto block = [&](coap_option_num_t number) -> std::optional<Block> {
      const auto* option = coap_check_option(received, number, &at);
      if (option == nullptr || coap_opt_length(option) > 3) return std::nullopt;
      return Block::parse(coap_decode_var_bytes(coap_opt_value(option), coap_opt_length(option)));
    };
    PushAnswer answer{static_cast<Code>(coap_pdu_get_code(received)), block(COAP_OPTION_BLOCK1)};
    answer.block2 = block(COAP_OPTION_BLOCK2);
    std::size_t size = 0;
    const std::uint8_t* data = nullptr;
    if (coap_get_data(received, &size, &data) != 0) answer.payload = {reinterpret_cast<const char*>(data), size};
    self(session).handler_.on_answer(session, token_of(received), answer);
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
        server.remember(session);
        break;
      case COAP_EVENT_DTLS_CONNECTED:
        server.gate_.on_connected(session, least_record(tls_of(session)));
        break;
      case COAP_EVENT_DTLS_CLOSED:
      case COAP_EVENT_DTLS_ERROR:
        server.handler_.on_closed(session);
        break;
      case COAP_EVENT_SERVER_SESSION_DEL:
        server.forget(session);
        break;
      default:
        break;
    }
    return 0;
  }

  const Options options_;
  Handler& handler_;
  const Clock& clock_;
  std::size_t sessions_ = 0;
  HandshakeGate gate_;
  const CookieCheck check_;
  coap_session_t* born_ = nullptr;  // by the datagram at hand
  coap_address_t born_peer_{};
  int born_interface_ = 0;
  std::unordered_map<const coap_session_t*, std::string> certificates_;
  std::unordered_map<const coap_session_t*, std::uint64_t> lives_;
  Secret key_;  // of the handshake at hand
  coap_bin_const_t key_view_{};
  std::unique_ptr<coap_context_t, FreeContext> context_;
  std::vector<Session> ending_;
  coap_endpoint_t* endpoint_ = nullptr;
  std::optional<EndpointSocket> socket_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const Options& options, Handler& handler, const Clock& clock) {
  auto out = std::make_unique<LibcoapServer>(options, handler, clock);
  if (auto listening = out->listen(); !listening) return fail(listening.error());
  return out;
}

}  // namespace trunkline::coap
