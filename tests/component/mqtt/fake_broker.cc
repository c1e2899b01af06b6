// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/fake_broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace trunkline::test {

namespace {

// MQTT 5.0 section 2.1.2.
constexpr unsigned kConnect = 1, kPublish = 3, kPuback = 4, kSubscribe = 8, kPingRequest = 12;

std::string number(std::size_t value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xffU)};
}

std::string length(std::size_t value) {
  std::string out;
  do {
    auto digit = static_cast<unsigned>(value & 127U);
    value >>= 7U;
    if (value > 0) digit |= 128U;
    out += static_cast<char>(digit);
  } while (value > 0);
  return out;
}

std::string packet(unsigned first, const std::string& body) {
  return static_cast<char>(first) + length(body.size()) + body;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

FakeBroker::FakeBroker() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 8) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || ::pipe(stop_) != 0) {
    throw std::runtime_error("no listener");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FakeBroker::~FakeBroker() {
  ::close(stop_[1]);
  thread_.join();
  ::close(stop_[0]);
  ::close(listener_);
}

std::string FakeBroker::publish(std::string_view topic, std::string_view payload, std::uint16_t id,
                                std::string_view properties) {
  std::string body = number(topic.size()) + std::string(topic) + number(id) + length(properties.size());
  body.append(properties).append(payload);
  return packet(0x32, body);
}

bool FakeBroker::send(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (subscriber_ < 0) return false;
  send_all(subscriber_, bytes);
  return true;
}

template <class F>
bool FakeBroker::wait(F reached) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), reached);
}
bool FakeBroker::wait_subscriptions(std::size_t count) {
  return wait([&] { return subscriptions_ >= count; });
}
bool FakeBroker::wait_pubacks(std::size_t count) {
  return wait([&] { return pubacks_ >= count; });
}
bool FakeBroker::wait_publishes(std::size_t count) {
  return wait([&] { return publishes_ >= count; });
}

void FakeBroker::serve() {
  std::vector<Link> links;
  for (;;) {
    std::vector<pollfd> wait{{stop_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& link : links) wait.push_back({link.fd, POLLIN, 0});
    if (::poll(wait.data(), wait.size(), -1) < 0) continue;
    if (wait[0].revents != 0) break;
    for (std::size_t i = links.size(); i-- > 0;) {
      if (wait[i + 2].revents == 0 || take_packets(links[i])) continue;
      const std::lock_guard lock(mutex_);
      if (subscriber_ == links[i].fd) subscriber_ = -1;
      ::close(links[i].fd);
      links.erase(links.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (wait[1].revents != 0) links.push_back({::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), {}});
  }
  const std::lock_guard lock(mutex_);
  subscriber_ = -1;
  for (const auto& link : links) ::close(link.fd);
}

// False at the end of the connection.
bool FakeBroker::take_packets(Link& link) {
  char bytes[4096];
  const auto count = ::recv(link.fd, bytes, sizeof bytes, 0);
  if (count <= 0) return false;
  link.read.append(bytes, static_cast<std::size_t>(count));
  for (;;) {
    std::size_t size = 0, at = 1;
    for (unsigned shift = 0;; shift += 7, ++at) {
      if (at >= link.read.size()) return true;
      const auto digit = static_cast<unsigned char>(link.read[at]);
      size |= static_cast<std::size_t>(digit & 127U) << shift;
      if ((digit & 128U) == 0) break;
    }
    ++at;
    if (link.read.size() < at + size) return true;
    const auto whole = link.read.substr(0, at + size);
    link.read.erase(0, at + size);
    answer(link, static_cast<std::uint8_t>(whole[0]), std::string_view(whole).substr(at));
  }
}

void FakeBroker::answer(Link& link, std::uint8_t first, std::string_view body) {
  const unsigned type = first >> 4U;
  const std::lock_guard lock(mutex_);
  if (type == kConnect) {
    send_all(link.fd, std::string("\x20\x03\x00\x00\x00", 5));
  } else if (type == kSubscribe) {
    subscriber_ = link.fd;
    ++subscriptions_;
    // One topic a packet; no properties; QoS 1 granted.
    send_all(link.fd, packet(0x90, std::string(body.substr(0, 2)) + std::string("\x00\x01", 2)));
  } else if (type == kPublish) {
    ++publishes_;
    const auto topic =
        static_cast<std::size_t>(static_cast<unsigned char>(body[0])) << 8U | static_cast<unsigned char>(body[1]);
    const auto reason = reason_.load();
    auto ack = std::string(body.substr(topic + 2, 2));
    if (reason != 0) ack += static_cast<char>(reason);
    if ((first & 0x06U) != 0) send_all(link.fd, packet(0x40, ack));
  } else if (type == kPuback) {
    ++pubacks_;
  } else if (type == kPingRequest) {
    send_all(link.fd, std::string("\xd0\x00", 2));
  }
  changed_.notify_all();
}

}  // namespace trunkline::test
