// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/coap_peer.h"
#include "tests/support/dtls_peer.h"

namespace trunkline::bench {

using Steady = std::chrono::steady_clock;

// CoAP devices, each with one confirmable POST of 200 bytes on its way. One thread.
class Clients {
 public:
  struct Result {
    std::size_t answered = 0;
    std::size_t asked_again = 0;
    double seconds = 0;
    double p50_ms = 0, p99_ms = 0;
  };

  // `path` and `identity` name the device of each number.
  template <class Path, class Identity>
  Clients(const std::string& address, bool secure, std::size_t count, const std::string& key, Path path,
          Identity identity)
      : clients_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& client = clients_[i];
      if (secure) {
        client.secure = std::make_unique<test::DtlsPeer>(address, test::DtlsProof{identity(i), key, {}, {}});
        if (!client.secure->ok()) std::printf("handshake %zu failed\n", i);
      } else {
        client.plain = std::make_unique<test::CoapPeer>(address);
      }
      client.request.code = 2;
      client.request.path(path(i)).payload = std::string(200, 'x');
    }
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    for (std::size_t i = 0; i < count; ++i) {
      epoll_event event{EPOLLIN, {.u64 = i}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_[i].fd(), &event);
    }
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients() { ::close(epoll_); }

  // Until that many are answered or the time is over.
  Result run(std::size_t messages, double seconds) {
    Result out;
    std::vector<double> times;
    const auto start = Steady::now();
    const auto end = start + std::chrono::duration<double>(seconds);
    for (auto& client : clients_) client.ask();
    std::vector<epoll_event> events(256);
    while (Steady::now() < end && times.size() < messages) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 2000);
      for (int i = 0; i < count; ++i) {
        auto& client = clients_[events[static_cast<std::size_t>(i)].data.u64];
        if (!client.take()) continue;
        times.push_back(std::chrono::duration<double, std::milli>(Steady::now() - client.sent).count());
        client.ask();
      }
      if (count > 0) continue;
      for (auto& client : clients_) client.ask(), ++out.asked_again;
    }
    out.seconds = std::chrono::duration<double>(Steady::now() - start).count();
    out.answered = times.size();
    std::sort(times.begin(), times.end());
    const auto at = [&times](double q) {
      return times.empty() ? 0.0 : times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))];
    };
    out.p50_ms = at(0.5);
    out.p99_ms = at(0.99);
    return out;
  }

 private:
  struct Client {
    std::unique_ptr<test::CoapPeer> plain;
    std::unique_ptr<test::DtlsPeer> secure;
    test::CoapMessage request;
    Steady::time_point sent;

    [[nodiscard]] int fd() const { return plain ? plain->fd() : secure->fd(); }
    void ask() {
      ++request.id;
      request.token = {static_cast<char>(request.id >> 8), static_cast<char>(request.id & 0xff)};
      sent = Steady::now();
      plain ? plain->send(request) : secure->send(request);
    }
    // True: the 2.04 to what was asked is there.
    bool take() {
      const auto answer = plain ? plain->receive(std::chrono::milliseconds(0)) : secure->try_receive();
      if (!answer) return false;
      if (answer->type == test::CoapMessage::con) plain ? plain->acknowledge(*answer) : secure->acknowledge(*answer);
      return answer->code == 204 && answer->token == request.token;
    }
  };

  std::vector<Client> clients_;
  int epoll_ = -1;
};

}  // namespace trunkline::bench
