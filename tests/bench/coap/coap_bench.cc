// SPDX-License-Identifier: Apache-2.0
// usage: coap_bench [SECONDS [ROUNDS]]       confirmable POSTs of 200 bytes, each session with one on its way: the
// adapter with an ingress that answers at once, beside libcoap that answers at once, over UDP and DTLS, in turn. Prints
// one line of each, the median of the rounds: rate, p50 and p99 until the 2.04, CPU of the server per message, its
// memory per session.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "adapters/coap/coap_adapter.h"
#include "tests/bench/coap/bare_server.h"
#include "tests/bench/coap/clients.h"
#include "tests/bench/served.h"

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

void serve_ours(bool secure, std::size_t devices, const bench::Served::Ready& ready) {
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

struct Figures {
  double rate = 0, cpu_us = 0, kib = 0;
  bench::Clients::Result load;
};

Figures measure(bool secure, std::size_t sessions, double seconds, const bench::Served& server, bool one_path) {
  const auto before = bench::usage_of(server.pid);
  bench::Clients clients(
      "127.0.0.1:" + std::to_string(server.port), secure, sessions, kKey,
      [one_path](std::size_t i) { return one_path ? std::string("/t") : "/t" + std::to_string(i); }, name);
  clients.run(2 * sessions, 10);  // each has spoken
  const auto start = bench::usage_of(server.pid);
  Figures out;
  out.load = clients.run(~std::size_t{0}, seconds);
  const auto after = bench::usage_of(server.pid);
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
          const bench::Served server([secure](const auto& ready) { bench::serve_bare(secure, kKey, ready); });
          bare.push_back(measure(secure, sessions, seconds, server, true));
        }
        const bench::Served server([&](const auto& ready) { serve_ours(secure, sessions, ready); });
        ours.push_back(measure(secure, sessions, seconds, server, secure));
      }
      print("libcoap", secure, sessions, bare);
      print("adapter", secure, sessions, ours);
    }
  }
}
