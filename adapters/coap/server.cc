// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/server.h"

#include <coap3/coap.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "adapters/coap/request_reader.h"
#include "gateway/base/log.h"
#include "gateway/net/endpoint.h"

namespace trunkline::coap {

namespace {

// A plain UDP peer costs a session before anything is known of it, and libcoap walks all of them at every step.
constexpr unsigned kMaxIdleSessions = 2'000;
constexpr unsigned kSessionTimeoutSeconds = 60;

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

bool add_uint(coap_pdu_t* pdu, coap_option_num_t number, std::uint32_t value) {
  std::array<std::uint8_t, 4> bytes{};
  const auto length = coap_encode_var_safe(bytes.data(), bytes.size(), value);
  return coap_add_option(pdu, number, length, bytes.data()) != 0;
}

// Options in the order of their numbers, as libcoap 4.3.1 wants them.
bool fill(coap_pdu_t* pdu, const Response& response) {
  bool ok = true;
  coap_pdu_set_code(pdu, static_cast<coap_pdu_code_t>(response.code));
  if (response.observe) ok = ok && add_uint(pdu, COAP_OPTION_OBSERVE, *response.observe);
  if (response.content_format) ok = ok && add_uint(pdu, COAP_OPTION_CONTENT_FORMAT, *response.content_format);
  if (response.max_age) ok = ok && add_uint(pdu, COAP_OPTION_MAXAGE, *response.max_age);
  if (!response.location_query.empty()) {
    ok = ok && coap_add_option(pdu, COAP_OPTION_LOCATION_QUERY, response.location_query.size(),
                               reinterpret_cast<const std::uint8_t*>(response.location_query.data())) != 0;
  }
  if (response.block1) ok = ok && add_uint(pdu, COAP_OPTION_BLOCK1, *response.block1);
  if (!response.payload.empty()) {
    ok = ok && coap_add_data(pdu, response.payload.size(),
                             reinterpret_cast<const std::uint8_t*>(response.payload.data())) != 0;
  }
  return ok;
}

struct FreeContext {
  void operator()(coap_context_t* context) const { coap_free_context(context); }
};

class LibcoapServer final : public Server {
 public:
  explicit LibcoapServer(Handler& handler) : handler_(handler) {}
  ~LibcoapServer() override {
    // What is dropped with the context is no news.
    if (!context_) return;
    coap_register_nack_handler(context_.get(), nullptr);
    coap_register_event_handler(context_.get(), nullptr);
  }

  Result<void> listen(const std::string& text) {
    const auto address = resolve(text);
    if (!address) return fail(address.error().in("coap.listen"));
    if (auto free = check_free(*address, text); !free) return free;
    coap_set_log_handler(on_library_log);
    coap_set_log_level(log::enabled(log::Level::debug) ? LOG_WARNING : LOG_EMERG);
    context_.reset(coap_new_context(nullptr));
    if (!context_) return fail(ErrorCode::internal, "libcoap cannot make a context");
    coap_set_app_data(context_.get(), this);
    coap_context_set_max_idle_sessions(context_.get(), kMaxIdleSessions);
    coap_context_set_session_timeout(context_.get(), kSessionTimeoutSeconds);
    coap_register_nack_handler(context_.get(), on_nack);
    coap_register_event_handler(context_.get(), on_event);
    // All requests come to one place: the map decides, not libcoap's list of resources.
    auto* resource = coap_resource_unknown_init(on_request);
    if (resource == nullptr) return fail(ErrorCode::internal, "libcoap cannot make a resource");
    for (const auto method : {COAP_REQUEST_GET, COAP_REQUEST_POST, COAP_REQUEST_DELETE, COAP_REQUEST_FETCH,
                              COAP_REQUEST_PATCH, COAP_REQUEST_IPATCH}) {
      coap_register_request_handler(resource, method, on_request);
    }
    coap_add_resource(context_.get(), resource);
    errno = 0;
    endpoint_ = coap_new_endpoint(context_.get(), &*address, COAP_PROTO_UDP);
    if (endpoint_ == nullptr) {
      return fail(ErrorCode::unavailable, "listening on " + text + ": " + errno_text(errno));
    }
    if (coap_context_get_coap_fd(context_.get()) < 0) return fail(ErrorCode::internal, "libcoap came without epoll");
    return {};
  }

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
    }
  }

  bool send(coap_session_t* session, bool confirmable, const Token& token, const Response& response) override {
    auto* pdu =
        coap_pdu_init(confirmable ? COAP_MESSAGE_CON : COAP_MESSAGE_NON, static_cast<coap_pdu_code_t>(response.code),
                      coap_new_message_id(session), coap_session_max_pdu_size(session));
    if (pdu == nullptr) return false;
    if (coap_add_token(pdu, token.size, token.bytes.data()) == 0 || !fill(pdu, response)) {
      coap_delete_pdu(pdu);
      return false;
    }
    return coap_send(session, pdu) != COAP_INVALID_MID;
  }

  std::size_t sessions() const override { return sessions_; }

  bool idle() const override { return coap_can_exit(context_.get()) != 0; }

 private:
  static LibcoapServer& self(coap_session_t* session) {
    return *static_cast<LibcoapServer*>(coap_get_app_data(coap_session_get_context(session)));
  }

  static void on_request(coap_resource_t* /*resource*/, coap_session_t* session, const coap_pdu_t* pdu,
                         const coap_string_t* /*query*/, coap_pdu_t* response) {
    const auto request = read_request(pdu);
    const auto answer =
        self(session).handler_.on_request(request, read_peer(coap_session_get_addr_remote(session)), session);
    if (answer.code == Code::none || fill(response, answer)) return;
    coap_pdu_set_code(response, static_cast<coap_pdu_code_t>(Code::internal_error));
  }

  static void on_nack(coap_session_t* session, const coap_pdu_t* sent, coap_nack_reason_t /*reason*/,
                      coap_mid_t /*mid*/) {
    if (sent == nullptr) return;
    Token token;
    const auto bytes = coap_pdu_get_token(sent);
    token.size = static_cast<std::uint8_t>(std::min(bytes.length, token.bytes.size()));
    std::copy_n(bytes.s, token.size, token.bytes.begin());
    self(session).handler_.on_undelivered(session, token);
  }

  static int on_event(coap_session_t* session, coap_event_t event) {
    auto& count = self(session).sessions_;
    if (event == COAP_EVENT_SERVER_SESSION_NEW) ++count;
    if (event == COAP_EVENT_SERVER_SESSION_DEL && count > 0) --count;
    return 0;
  }

  Handler& handler_;
  std::size_t sessions_ = 0;
  std::unique_ptr<coap_context_t, FreeContext> context_;
  coap_endpoint_t* endpoint_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const std::string& listen, Handler& handler) {
  auto out = std::make_unique<LibcoapServer>(handler);
  if (auto listening = out->listen(listen); !listening) return fail(listening.error());
  return out;
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
