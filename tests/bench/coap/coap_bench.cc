// SPDX-License-Identifier: Apache-2.0
// usage: coap_bench [SECONDS]       confirmable POSTs of 200 bytes, each session with one on its way: the adapter with
// an ingress that answers at once, beside libcoap that answers at once, over UDP and DTLS. Prints one line of each:
// rate, p50 and p99 until the 2.04, CPU of the server per message, and its memory per session.
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters/coap/coap_adapter.h"
#include "tests/bench/coap/bare_server.h"
#include "tests/support/coap_peer.h"
#include "tests/support/dtls_peer.h"

using namespace trunkline;
using namespace trunkline::test;
using Steady = std::chrono::steady_clock;

namespace {

const std::string kKey = "a key of sixteen";

class SafeAtOnce final : public Ingress {
 public:
  void submit(Telemetry /*telemetry*/, Completion<Admission> done) override { done(Admission::safe()); }
  void presence(const DeviceId& /*device*/, Presence /*presence*/) override {}
  [[nodiscard]] Result<Secret> handshake_key(const DeviceId& /*device*/) const override { return Secret(kKey); }
};

std::string name(std::size_t i) {
  return "device-" + std::to_string(i);
}

void serve_ours(bool secure, std::size_t devices, const std::function<void(std::uint16_t)>& ready) {
  SystemClock clock;
  Metrics metrics;
  SafeAtOnce ingress;
  std::vector<DeviceMap> maps;
  for (std::size_t i = 0; i < devices; ++i) {
    DeviceMap map{.id = *DeviceId::parse(name(i))};
    map.coap = CoapMap{{}, secure ? "/t" : "/t" + std::to_string(i), {}, {}};
    if (secure) map.coap->identity = name(i);
    maps.push_back(std::move(map));
  }
  config::Coap settings;
  (secure ? settings.listen_dtls : settings.listen) = "127.0.0.1:0";
  settings.peer_rate = 0;
  CoapAdapter adapter(settings, maps, clock, metrics);
  if (const auto started = adapter.start(ingress); !started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    std::exit(1);
  }
  const auto local = adapter.listening(secure);
  ready(static_cast<std::uint16_t>(std::stoi(local.substr(local.rfind(':') + 1))));
  for (;;) ::pause();
}

struct Usage {
  double cpu_us = 0;
  long pss_kib = 0;
};

Usage usage_of(pid_t pid) {
  Usage out;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  long user = 0, system = 0;
  for (int i = 1; i <= 13; ++i) stat >> word;
  stat >> user >> system;
  out.cpu_us = static_cast<double>(user + system) * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::ifstream memory("/proc/" + std::to_string(pid) + "/smaps_rollup");
  while (memory >> word) {
    if (word == "Pss:") memory >> out.pss_kib;
  }
  return out;
}

// A server in a process of its own, so that its CPU and memory are its own.
struct Server {
  pid_t pid = 0;
  std::uint16_t port = 0;

  explicit Server(const std::function<void(const std::function<void(std::uint16_t)>&)>& serve) {
    int pipe[2];
    if (::pipe(pipe) != 0) std::abort();
    pid = ::fork();
    if (pid == 0) {
      serve([&pipe](std::uint16_t chosen) {
        if (::write(pipe[1], &chosen, sizeof chosen) != sizeof chosen) std::abort();
      });
      std::_Exit(0);
    }
    if (::read(pipe[0], &port, sizeof port) != sizeof port) std::abort();
    ::close(pipe[0]);
    ::close(pipe[1]);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
};

struct Client {
  std::unique_ptr<CoapPeer> plain;
  std::unique_ptr<DtlsPeer> secure;
  CoapMessage request;
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
    if (answer->type == CoapMessage::con) plain ? plain->acknowledge(*answer) : secure->acknowledge(*answer);
    return answer->code == 204 && answer->token == request.token;
  }
};

void measure(const char* what, bool secure, std::size_t sessions, double seconds, const Server& server, bool one_path) {
  const auto before = usage_of(server.pid);
  const auto address = "127.0.0.1:" + std::to_string(server.port);
  std::vector<Client> clients(sessions);
  const auto begun = Steady::now();
  for (std::size_t i = 0; i < sessions; ++i) {
    auto& client = clients[i];
    if (secure) {
      client.secure = std::make_unique<DtlsPeer>(address, DtlsProof{name(i), kKey, {}, {}});
      if (!client.secure->ok()) std::printf("handshake %zu failed\n", i);
    } else {
      client.plain = std::make_unique<CoapPeer>(address);
    }
    client.request.code = 2;
    client.request.path(one_path ? "/t" : "/t" + std::to_string(i)).payload = std::string(200, 'x');
  }
  const std::chrono::duration<double> setup = Steady::now() - begun;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < sessions; ++i) {
    epoll_event event{EPOLLIN, {.u64 = i}};
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd(), &event);
  }
  for (auto& client : clients) client.ask();
  std::vector<double> times;
  std::size_t resent = 0;
  const auto start = Steady::now();
  const auto cpu = usage_of(server.pid);
  const auto end = start + std::chrono::duration<double>(seconds);
  std::vector<epoll_event> events(256);
  while (Steady::now() < end) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 200);
    for (int i = 0; i < count; ++i) {
      auto& client = clients[events[static_cast<std::size_t>(i)].data.u64];
      if (!client.take()) continue;
      times.push_back(std::chrono::duration<double, std::milli>(Steady::now() - client.sent).count());
      client.ask();
    }
    if (count > 0) continue;
    for (auto& client : clients) client.ask(), ++resent;
  }
  const auto after = usage_of(server.pid);
  const std::chrono::duration<double> took = Steady::now() - start;
  ::close(epoll);
  std::sort(times.begin(), times.end());
  if (times.empty()) {
    std::printf("%-8s %-4s %5zu sessions: no answer\n", what, secure ? "DTLS" : "UDP", sessions);
    return;
  }
  const auto at = [&times](double q) {
    return times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))];
  };
  std::printf(
      "%-8s %-4s %5zu sessions: %8.0f msg/s  p50 %7.3f ms  p99 %7.3f ms  CPU %6.1f us/msg  %5.1f KiB/session"
      "  set up in %.2f s%s\n",
      what, secure ? "DTLS" : "UDP", sessions, static_cast<double>(times.size()) / took.count(), at(0.5), at(0.99),
      (after.cpu_us - cpu.cpu_us) / static_cast<double>(times.size()),
      static_cast<double>(after.pss_kib - before.pss_kib) / static_cast<double>(sessions), setup.count(),
      resent > 0 ? "  (some were asked again)" : "");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  for (const bool secure : {false, true}) {
    for (const std::size_t sessions : {1U, 50U, 1000U}) {
      {
        const Server bare([secure](const auto& ready) { bench::serve_bare(secure, kKey, ready); });
        measure("libcoap", secure, sessions, seconds, bare, true);
      }
      const Server ours([&](const auto& ready) { serve_ours(secure, sessions, ready); });
      measure("adapter", secure, sessions, seconds, ours, secure);
    }
  }
}
