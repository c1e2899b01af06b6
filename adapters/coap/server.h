// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/coap/request.h"
#include "gateway/base/result.h"

extern "C" {
struct coap_session_t;
}

namespace trunkline::coap {

// A response, or a notification if `observe` is set.
struct Response {
  Code code = Code::none;
  std::optional<unsigned> content_format;
  std::optional<std::uint32_t> max_age;  // seconds
  std::optional<std::uint32_t> observe;
  std::optional<std::uint32_t> block1;
  std::string location_query;
  std::string_view payload;
};

// Keeps libcoap's session with a peer alive, so that it can be answered later. Lives no longer than its server.
class Session {
 public:
  explicit Session(coap_session_t* session);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&& other) noexcept;
  Session& operator=(Session&& other) noexcept;
  ~Session();

  [[nodiscard]] coap_session_t* get() const { return session_; }

 private:
  coap_session_t* session_;
};

// One libcoap context with one plain UDP endpoint. libcoap is not thread-safe: everything here, and the death of every
// Session, on one thread at a time. No proxy, no multicast, no cache, no block-wise transfer: what libcoap does on its
// own is acknowledge, retransmit and refuse what cannot be parsed (southbound-notes.md section 3).
class Server {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Answers a request; Code::none leaves the answer for later. Views in the response live until the next call.
    virtual Response on_request(const Request& request, const Peer& peer, coap_session_t* session) = 0;
    // A confirmable message of ours was refused by its peer, or not acknowledged after all retransmissions.
    virtual void on_undelivered(coap_session_t* session, const Token& token) = 0;
  };

  // Listens on "127.0.0.1:5683". Fails with the address and the reason. The handler outlives the server.
  static Result<std::unique_ptr<Server>> open(const std::string& listen, Handler& handler);
  virtual ~Server() = default;

  // With the port that was chosen for port 0.
  [[nodiscard]] virtual std::string local() const = 0;
  // Readable when serve() has something to do, timers included.
  [[nodiscard]] virtual int descriptor() const = 0;
  // Reads what has come, at most `datagrams` of them, and sends what is due.
  virtual void serve(unsigned datagrams) = 0;
  // Sends a message of ours; true if the network or libcoap's queue has it.
  virtual bool send(coap_session_t* session, bool confirmable, const Token& token, const Response& response) = 0;
  // Peers that libcoap keeps a session for. Idle ones go by themselves; one to which something is on its way stays.
  [[nodiscard]] virtual std::size_t sessions() const = 0;
  // Nothing waits for an acknowledgement any more.
  [[nodiscard]] virtual bool idle() const = 0;
};

}  // namespace trunkline::coap
