// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/endpoint_socket.h"

#include <coap3/coap.h>
#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "adapters/coap/request_reader.h"
#include "gateway/net/endpoint.h"

namespace trunkline::coap {

namespace {

// A burst waits here while we commit; the kernel gives what net.core.rmem_max allows.
constexpr int kReceiveBuffer = 4 * 1024 * 1024;

}  // namespace

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

// The kernel lists what a descriptor of epoll watches (proc(5), /proc/pid/fdinfo): "tfd:        7 events: …".
std::optional<EndpointSocket> EndpointSocket::find(int epoll) {
  std::ifstream watched("/proc/self/fdinfo/" + std::to_string(epoll));
  for (std::string word; watched >> word;) {
    int fd = -1;
    if (word != "tfd:" || !(watched >> fd)) continue;
    int kind = 0;
    socklen_t size = sizeof kind;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) != 0 || kind != SOCK_DGRAM) continue;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
    return EndpointSocket(fd);
  }
  return std::nullopt;
}

std::optional<EndpointSocket::Datagram> EndpointSocket::peek() {
  from_size_ = sizeof from_;
  const auto count = ::recvfrom(fd_, bytes_.data(), bytes_.size(), MSG_PEEK | MSG_DONTWAIT,
                                reinterpret_cast<sockaddr*>(&from_), &from_size_);
  if (count < 0) return std::nullopt;
  coap_address_t address;
  coap_address_init(&address);
  std::memcpy(&address.addr, &from_, std::min<std::size_t>(from_size_, sizeof address.addr));
  return Datagram{read_peer(&address), {bytes_.data(), static_cast<std::size_t>(count)}};
}

void EndpointSocket::discard(std::string_view answer) {
  ::recv(fd_, nullptr, 0, MSG_DONTWAIT);
  if (answer.empty()) return;
  // A datagram that cannot be sent is lost, as on any network.
  [[maybe_unused]] const auto sent = ::sendto(fd_, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                              reinterpret_cast<const sockaddr*>(&from_), from_size_);
}

}  // namespace trunkline::coap
