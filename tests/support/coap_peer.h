// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trunkline::test {

// A CoAP message written and read by hand (RFC 7252 section 3), so that the tests do not share the library's view.
struct CoapMessage {
  enum Type : std::uint8_t { con, non, ack, rst };
  struct Option {
    unsigned number;
    std::string value;
  };

  Type type = con;
  unsigned code = 0;  // 204 is 2.04
  std::uint16_t id = 0;
  std::string token;
  std::vector<Option> options;
  std::string payload;

  CoapMessage& path(std::string_view text) {
    while (!text.empty()) {
      text.remove_prefix(1);
      const auto end = std::min(text.find('/'), text.size());
      options.push_back({11, std::string(text.substr(0, end))});
      text.remove_prefix(end);
    }
    return *this;
  }
  CoapMessage& option(unsigned number, std::string value) {
    options.push_back({number, std::move(value)});
    return *this;
  }
  [[nodiscard]] std::optional<std::string> find(unsigned number) const {
    for (const auto& entry : options) {
      if (entry.number == number) return entry.value;
    }
    return std::nullopt;
  }
  // The value of an option that is a number.
  [[nodiscard]] std::optional<unsigned> find_uint(unsigned number) const {
    const auto value = find(number);
    if (!value) return std::nullopt;
    unsigned out = 0;
    for (const char c : *value) out = out << 8 | static_cast<unsigned char>(c);
    return out;
  }

  [[nodiscard]] std::string encode() const {
    std::string out;
    out += static_cast<char>(1 << 6 | type << 4 | static_cast<int>(token.size()));
    out += static_cast<char>(code / 100 << 5 | code % 100);
    out += static_cast<char>(id >> 8);
    out += static_cast<char>(id & 0xff);
    out += token;
    auto sorted = options;
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    unsigned last = 0;
    for (const auto& entry : sorted) {
      const auto delta = nibble(entry.number - last);
      const auto length = nibble(static_cast<unsigned>(entry.value.size()));
      out += static_cast<char>(delta.first << 4 | length.first);
      out += delta.second + length.second + entry.value;
      last = entry.number;
    }
    if (!payload.empty()) out += '\xff' + payload;
    return out;
  }

  static std::optional<CoapMessage> decode(std::string_view bytes) {
    const auto at = [&bytes](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])); };
    if (bytes.size() < 4 || at(0) >> 6 != 1) return std::nullopt;
    CoapMessage out;
    out.type = static_cast<Type>(at(0) >> 4 & 3);
    out.code = (at(1) >> 5) * 100 + (at(1) & 31);
    out.id = static_cast<std::uint16_t>(at(2) << 8 | at(3));
    const std::size_t token_size = at(0) & 15;
    if (bytes.size() < 4 + token_size) return std::nullopt;
    out.token = bytes.substr(4, token_size);
    std::size_t i = 4 + token_size;
    unsigned number = 0;
    while (i < bytes.size() && at(i) != 0xff) {
      unsigned delta = at(i) >> 4;
      unsigned length = at(i) & 15;
      ++i;
      for (unsigned* part : {&delta, &length}) {
        if (*part == 13 && i < bytes.size()) {
          *part = 13 + at(i++);
        } else if (*part == 14 && i + 1 < bytes.size()) {
          *part = 269 + (at(i) << 8 | at(i + 1)), i += 2;
        }
      }
      if (i + length > bytes.size()) return std::nullopt;
      number += delta;
      out.options.push_back({number, std::string(bytes.substr(i, length))});
      i += length;
    }
    if (i < bytes.size()) out.payload = bytes.substr(i + 1);
    return out;
  }

 private:
  static std::pair<unsigned, std::string> nibble(unsigned value) {
    if (value < 13) return {value, {}};
    if (value < 269) return {13, std::string(1, static_cast<char>(value - 13))};
    return {14, {static_cast<char>((value - 269) >> 8), static_cast<char>((value - 269) & 0xff)}};
  }
};

// A UDP socket that speaks to one CoAP server, from `source` (an address of the loopback network).
class CoapPeer {
 public:
  static constexpr std::chrono::milliseconds kPatience{20'000};

  explicit CoapPeer(const std::string& server, const std::string& source = "127.0.0.1") {
    fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    auto from = address(source, 0);
    auto to = address(server.substr(0, server.rfind(':')), std::stoi(server.substr(server.rfind(':') + 1)));
    ok_ = fd_ >= 0 && ::bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0 &&
          ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  CoapPeer(const CoapPeer&) = delete;
  CoapPeer& operator=(const CoapPeer&) = delete;
  ~CoapPeer() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] int fd() const { return fd_; }

  void send(const CoapMessage& message) { send_raw(message.encode()); }
  void send_raw(std::string_view bytes) { ::send(fd_, bytes.data(), bytes.size(), 0); }

  // The next datagram, nothing if none came in time or it is no CoAP.
  std::optional<CoapMessage> receive(std::chrono::milliseconds patience = kPatience) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
    char bytes[2048];
    const auto count = ::recv(fd_, bytes, sizeof bytes, 0);
    if (count < 0) return std::nullopt;
    return CoapMessage::decode({bytes, static_cast<std::size_t>(count)});
  }

  // Acknowledges a confirmable message of the server.
  void acknowledge(const CoapMessage& message) { send({CoapMessage::ack, 0, message.id, {}, {}, {}}); }

 private:
  static sockaddr_in address(const std::string& host, int port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host.c_str(), &out.sin_addr);
    return out;
  }
  int fd_ = -1;
  bool ok_ = false;
};

}  // namespace trunkline::test
