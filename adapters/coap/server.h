// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/coap/request.h"
#include "adapters/coap/response.h"
#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::coap {

// One libcoap context with one endpoint, plain UDP or DTLS 1.2. libcoap is not thread-safe: everything here, and the
// death of every Session, on one thread at a time. No proxy, no multicast, no cache, none of libcoap's block-wise
// transfer: what it does on its own is acknowledge, retransmit, shake hands and refuse what cannot be parsed
// (southbound-notes.md section 3). Several listeners are several servers, so that peers of one do not crowd out those
// of another.
class Server {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Answers a request; Code::none leaves the answer for later. Views in the response live until the next call.
    virtual Response on_request(const Request& request, const Speaker& speaker, coap_session_t* session) = 0;
    // A confirmable message of ours was refused by its peer, or not acknowledged after all retransmissions.
    virtual void on_undelivered(coap_session_t* session, const Token& token) = 0;
    // A DTLS session has ended; nothing can be sent on it any more.
    virtual void on_closed(coap_session_t* session) = 0;
    // The answer to a request of ours, with the Block1 option if it has one.
    virtual void on_answer(coap_session_t* session, const Token& token, const PushAnswer& answer) = 0;
    // During a handshake: the key of a PSK identity, nothing for one that is not known; is this a device's name?
    virtual std::optional<Secret> key_of(std::string_view identity) = 0;
    virtual bool knows_certificate(std::string_view name) = 0;
  };
  struct Options {
    std::string listen;  // "127.0.0.1:5683"
    bool secure = false;
    std::string cert, key, ca_file;  // with these devices may show a certificate
    unsigned max_sessions = 5000;
    unsigned max_handshakes = 500;
    Milliseconds session_timeout{300'000};
  };

  // Fails with the address or file and the reason. Handler and clock outlive the server.
  static Result<std::unique_ptr<Server>> open(const Options& options, Handler& handler, const Clock& clock);
  virtual ~Server() = default;

  [[nodiscard]] virtual bool secure() const = 0;
  // With the port that was chosen for port 0.
  [[nodiscard]] virtual std::string local() const = 0;
  // Readable when serve() has something to do, timers included.
  [[nodiscard]] virtual int descriptor() const = 0;
  // Reads what has come, at most `datagrams` of them, and sends what is due.
  virtual void serve(unsigned datagrams) = 0;
  // A session of ours with a device's own server, plain UDP. Nothing if there is no socket for it.
  virtual std::optional<Session> connect(const std::string& host, std::uint16_t port) = 0;
  // Ends a DTLS session, once the message at hand is dealt with.
  virtual void end(coap_session_t* session) = 0;
  // Peers that libcoap keeps a session for. Idle ones go by themselves; one to which something is on its way stays.
  [[nodiscard]] virtual std::size_t sessions() const = 0;
  [[nodiscard]] virtual std::size_t handshakes() const = 0;  // unfinished ones
  // Nothing waits for an acknowledgement any more.
  [[nodiscard]] virtual bool idle() const = 0;
};

}  // namespace trunkline::coap
