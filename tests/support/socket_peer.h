// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace trunkline::test {

// A plain blocking TCP client, the way a device would do it. Every wait has a deadline.
class SocketPeer {
 public:
  static constexpr std::chrono::milliseconds kPatience{20'000};

  // To "127.0.0.1:port"; ok() tells whether it came about.
  explicit SocketPeer(const std::string& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    const auto colon = address.rfind(':');
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) close();
  }
  // Of a connection that is there; takes it over.
  explicit SocketPeer(int fd) : fd_(fd) {}
  SocketPeer(SocketPeer&& other) noexcept : fd_(std::exchange(other.fd_, -1)), read_(std::move(other.read_)) {}
  SocketPeer& operator=(SocketPeer&&) = delete;
  ~SocketPeer() { close(); }

  [[nodiscard]] bool ok() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }

  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto count = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  // As much as the kernel takes now.
  std::size_t send_some(std::string_view text) {
    const auto count = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }

  // Exactly `count` bytes, or fewer if the peer closed or time ran out.
  std::string receive(std::size_t count, std::chrono::milliseconds patience = kPatience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (read_.size() < count && more(until)) {
    }
    std::string out = read_.substr(0, count);
    read_.erase(0, out.size());
    return out;
  }
  // A line without its "\n".
  std::string receive_line() {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (read_.find('\n') == std::string::npos) {
      if (!more(until)) return {};
    }
    const auto end = read_.find('\n');
    std::string out = read_.substr(0, end);
    read_.erase(0, end + 1);
    return out;
  }
  // Did the other side close, with nothing left to read?
  bool closed_by_peer() {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (more(until)) {
    }
    return read_.empty() && ended_;
  }

  void shutdown_write() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  bool more(std::chrono::steady_clock::time_point until) {
    if (ended_) return false;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait{fd_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return false;
    char bytes[4096];
    const auto count = ::recv(fd_, bytes, sizeof bytes, 0);
    if (count <= 0) {
      ended_ = true;
      return false;
    }
    read_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  int fd_ = -1;
  std::string read_;
  bool ended_ = false;
};

}  // namespace trunkline::test
