// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/cut.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <filesystem>
#include <string>

namespace trunkline::mqtt {

namespace {

std::uint16_t peer_port(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return ntohs(v4.sin_port);
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return ntohs(v6.sin6_port);
  }
  return 0;
}

void cut_if(int fd, std::uint16_t port) {
  if (peer_port(fd) == port) ::shutdown(fd, SHUT_RDWR);
}

}  // namespace

void cut_connections_to(std::uint16_t port) {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (!error) {
    for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
      const auto name = entries->path().filename().string();
      int fd = -1;
      if (std::from_chars(name.data(), name.data() + name.size(), fd).ec == std::errc()) cut_if(fd, port);
    }
    if (!error) return;
  }
  // Without /proc every possible number is tried.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = 1U << 20U;
  for (rlim_t fd = 0; fd < limit.rlim_cur; ++fd) cut_if(static_cast<int>(fd), port);
}

}  // namespace trunkline::mqtt
