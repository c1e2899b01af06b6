// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/coap/request.h"
#include "gateway/base/result.h"

struct coap_address_t;

namespace trunkline::coap {

// The address behind "127.0.0.1:5683" or "[::1]:5683".
Result<coap_address_t> resolve(const std::string& listen);

// libcoap binds with SO_REUSEADDR, which on UDP lets two processes share a port and split the datagrams. A socket
// without that option finds out.
Result<void> check_free(const coap_address_t& address, const std::string& text);

// The socket of libcoap's endpoint, which it does not show: for a look at what arrives before libcoap reads it. Not
// owned; lives no longer than the context.
class EndpointSocket {
 public:
  // What comes next; the view lives until the next call.
  struct Datagram {
    Peer peer;
    std::string_view bytes;
  };

  // `epoll` is the context's descriptor with the endpoint's as its only datagram socket; nothing: it is not there.
  static std::optional<EndpointSocket> find(int epoll);

  // The next datagram, which stays there; nothing: there is none.
  std::optional<Datagram> peek();
  // Takes it away, and answers its sender if there is something to say.
  void discard(std::string_view answer);

 private:
  explicit EndpointSocket(int fd) : fd_(fd) {}

  int fd_;
  std::array<char, 2048> bytes_{};
  sockaddr_storage from_{};
  socklen_t from_size_ = 0;
};

}  // namespace trunkline::coap
