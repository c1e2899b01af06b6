// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

namespace trunkline::test {

// A loopback port for a server of another program, kept from every other test while this lives, also while nobody
// listens on it. From below the range that the kernel hands out by itself; the name of an abstract Unix socket is the
// lock, the same as in tests/support/e2e/harness.py.
class ReservedPort {
 public:
  ReservedPort() {
    std::random_device random;
    std::uniform_int_distribution<unsigned> pick(20'000, 31'999);
    for (int attempt = 0; attempt < 500; ++attempt) {
      const auto port = static_cast<std::uint16_t>(pick(random));
      if (lock(port)) {
        if (free(port)) {
          value_ = port;
          return;
        }
        ::close(std::exchange(lock_, -1));
      }
    }
    throw std::runtime_error("no free loopback port");
  }
  ~ReservedPort() {
    if (lock_ >= 0) ::close(lock_);
  }
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;

  [[nodiscard]] std::uint16_t value() const { return value_; }

 private:
  bool lock(std::uint16_t port) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const auto text = "trunkline-e2e-port-" + std::to_string(port);
    std::memcpy(name.sun_path + 1, text.data(), text.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    lock_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lock_ >= 0 && ::bind(lock_, reinterpret_cast<sockaddr*>(&name), length) == 0) return true;
    if (lock_ >= 0) ::close(std::exchange(lock_, -1));
    return false;
  }
  static bool free(std::uint16_t port) {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = probe >= 0 && ::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (probe >= 0) ::close(probe);
    return bound;
  }

  int lock_ = -1;
  std::uint16_t value_ = 0;
};

}  // namespace trunkline::test
