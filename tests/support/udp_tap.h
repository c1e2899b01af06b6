// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace trunkline::test {

// A network between one client and one server that somebody listens to and speaks into: passes the datagrams of both,
// keeps those of the client, and sends what it likes as if the client did. Its own thread passes them.
class UdpTap {
 public:
  explicit UdpTap(const std::string& server) {
    const auto colon = server.rfind(':');
    auto to = loopback(static_cast<std::uint16_t>(std::stoi(server.substr(colon + 1))));
    auto any = loopback(0);
    client_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    server_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::bind(client_, reinterpret_cast<const sockaddr*>(&any), sizeof any);
    ::connect(server_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    socklen_t size = sizeof any;
    ::getsockname(client_, reinterpret_cast<sockaddr*>(&any), &size);
    port_ = ntohs(any.sin_port);
    thread_ = std::thread([this] { pass(); });
  }
  UdpTap(const UdpTap&) = delete;
  UdpTap& operator=(const UdpTap&) = delete;
  ~UdpTap() {
    ended_ = true;
    thread_.join();
    ::close(client_);
    ::close(server_);
  }

  // Where the client finds the server.
  [[nodiscard]] std::string listening() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<std::string> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  void inject(std::string_view bytes) { ::send(server_, bytes.data(), bytes.size(), 0); }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return out;
  }
  void pass() {
    sockaddr_in from{};
    char bytes[2048];
    while (!ended_) {
      pollfd wait[2] = {{client_, POLLIN, 0}, {server_, POLLIN, 0}};
      if (::poll(wait, 2, 20) <= 0) continue;
      if ((wait[0].revents & POLLIN) != 0) {
        socklen_t size = sizeof from;
        const auto count = ::recvfrom(client_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (count < 0) continue;
        const std::lock_guard lock(mutex_);
        heard_.emplace_back(bytes, static_cast<std::size_t>(count));
        inject(heard_.back());
      }
      if (wait[1].revents != 0) {
        const auto count = ::recv(server_, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count < 0) continue;
        ::sendto(client_, bytes, static_cast<std::size_t>(count), 0, reinterpret_cast<const sockaddr*>(&from),
                 sizeof from);
      }
    }
  }

  int client_;
  int server_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> heard_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace trunkline::test
