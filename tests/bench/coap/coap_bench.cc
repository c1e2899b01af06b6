// SPDX-License-Identifier: Apache-2.0
// usage: coap_bench [SECONDS [ROUNDS]]       confirmable POSTs of 200 bytes, each session with one on its way: the
// adapter with an ingress that answers at once, beside libcoap that answers at once, over UDP and DTLS, in turn. Prints
// one line of each, the median of the rounds: rate, p50 and p99 until the 2.04, CPU of the server per message, its
// memory per session.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "adapters/coap/coap_adapter.h"
#include "tests/bench/coap/bare_server.h"
#include "tests/bench/coap/clients.h"

using namespace trunkline;

namespace {

const std::string kKey = "a key of sixteen";

class SafeAtOnce final : public Ingress {
 public:
  void submit(Telemetry /*telemetry*/, Completion<Admission> done) override { done(Admission::safe()); }
  void presence(const DeviceId& /*device*/, Presence /*presence*/) override {}
  Result<void> report(const DeviceId& /*device*/, std::string_view /*patch*/) override { return {}; }
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

struct Figures {
  double rate = 0, cpu_us = 0, kib = 0;
  bench::Clients::Result load;
};

Figures measure(bool secure, std::size_t sessions, double seconds, const Server& server, bool one_path) {
  const auto before = usage_of(server.pid);
  bench::Clients clients(
      "127.0.0.1:" + std::to_string(server.port), secure, sessions, kKey,
      [one_path](std::size_t i) { return one_path ? std::string("/t") : "/t" + std::to_string(i); }, name);
  clients.run(2 * sessions, 10);  // each has spoken
  const auto start = usage_of(server.pid);
  Figures out;
  out.load = clients.run(~std::size_t{0}, seconds);
  const auto after = usage_of(server.pid);
  const auto answered = static_cast<double>(std::max<std::size_t>(out.load.answered, 1));
  out.rate = static_cast<double>(out.load.answered) / out.load.seconds;
  out.cpu_us = (after.cpu_us - start.cpu_us) / answered;
  out.kib = static_cast<double>(after.pss_kib - before.pss_kib) / static_cast<double>(sessions);
  return out;
}

template <class Value>
double median(const std::vector<Figures>& rounds, Value value) {
  std::vector<double> values;
  for (const auto& round : rounds) values.push_back(value(round));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const char* what, bool secure, std::size_t sessions, const std::vector<Figures>& rounds) {
  std::printf("%-8s %-4s %5zu sessions: %8.0f msg/s  p50 %7.3f ms  p99 %7.3f ms  CPU %6.1f us/msg  %6.1f KiB/session\n",
              what, secure ? "DTLS" : "UDP", sessions, median(rounds, [](const auto& one) { return one.rate; }),
              median(rounds, [](const auto& one) { return one.load.p50_ms; }),
              median(rounds, [](const auto& one) { return one.load.p99_ms; }),
              median(rounds, [](const auto& one) { return one.cpu_us; }),
              median(rounds, [](const auto& one) { return one.kib; }));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  const std::size_t rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 3;
  for (const bool secure : {false, true}) {
    for (const std::size_t sessions : {1U, 50U, 1000U}) {
      std::vector<Figures> bare, ours;
      for (std::size_t round = 0; round < rounds; ++round) {
        {
          const Server server([secure](const auto& ready) { bench::serve_bare(secure, kKey, ready); });
          bare.push_back(measure(secure, sessions, seconds, server, true));
        }
        const Server server([&](const auto& ready) { serve_ours(secure, sessions, ready); });
        ours.push_back(measure(secure, sessions, seconds, server, secure));
      }
      print("libcoap", secure, sessions, bare);
      print("adapter", secure, sessions, ours);
    }
  }
}
