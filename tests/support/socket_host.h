// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/socket_peer.h"

namespace trunkline::test {

// A TCP server on loopback, the way a serial server is one: it takes the connections that a test asks it to take. Every
// wait has a deadline.
class SocketHost {
 public:
  // `port` 0: any.
  explicit SocketHost(std::uint16_t port = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_port = htons(port);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof own;
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&own), size) != 0 || ::listen(fd_, 8) != 0) std::abort();
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size);
    port_ = ntohs(own.sin_port);
  }
  SocketHost(const SocketHost&) = delete;
  SocketHost& operator=(const SocketHost&) = delete;
  ~SocketHost() { ::close(fd_); }

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // The next connection, or nothing if none came in time.
  std::optional<SocketPeer> accept(std::chrono::milliseconds patience = SocketPeer::kPatience) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return std::nullopt;
    return SocketPeer(fd);
  }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace trunkline::test
