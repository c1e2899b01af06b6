// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gateway/base/small_random.h"
#include "tests/component/coap/coap_rig.h"
#include "tests/support/dtls_peer.h"
#include "tests/support/udp_tap.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

const std::string kKey = "a key of sixteen";

// TRUNKLINE_FUZZ_PACKETS=100000 for the long form.
std::size_t packets() {
  const char* wanted = std::getenv("TRUNKLINE_FUZZ_PACKETS");
  return wanted == nullptr ? 6'000 : std::strtoul(wanted, nullptr, 10);
}

std::vector<std::string> seeds() {
  auto whole = post("/tank/t", 1, "21.5");
  auto part = post("/tank/t", 2, std::string(64, 'x'));
  part.option(27, "\x0a").option(60, std::string("\x40\x00\x00\x00", 4));
  auto watch = get("/tank/cmd", 3);
  watch.option(6, "").option(23, "\x16");
  auto result = post("/tank/done", 4, {});
  result.option(15, "id=1");
  auto odd = post("/sleepy/t", 5, "x");
  odd.option(258, "\x1a").option(12, "\x32").option(3, "host").option(7, "\x16\x33");
  const CoapMessage reset{CoapMessage::rst, 0, 6, {}, {}, {}};
  return {whole.encode(), part.encode(), watch.encode(), result.encode(), odd.encode(), reset.encode()};
}

// What this process has in memory; ASan keeps what was freed for a while.
std::size_t resident() {
  std::size_t total = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> total >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kMayGrow = 512UL * 1024 * 1024;
#else
constexpr std::size_t kMayGrow = 96UL * 1024 * 1024;
#endif

// Some address of the loopback network, as a forger would claim it.
std::string forged(std::size_t number) {
  return "127.0." + std::to_string(number / 250 % 250 + 1) + '.' + std::to_string(number % 250 + 1);
}

bool served(CoapRig& rig, std::uint16_t id) {
  CoapPeer device(rig.adapter.listening());
  for (int attempt = 0; attempt < 20; ++attempt) {
    device.send(post("/tank/t", id, "still here"));
    for (auto answer = device.receive(500ms); answer; answer = device.receive(500ms)) {
      if (answer->type == CoapMessage::con) device.acknowledge(*answer);
      if (answer->code == 204) return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("random, mutated, forged and half-open datagrams do no harm, and devices are served", "[I-01][I-02]") {
  auto sleepy = coap_map("sleepy", "/sleepy");
  sleepy.coap->command.reset();
  sleepy.coap->piggyback = true;
  auto dtls = coap_map("meter", "/meter");
  dtls.coap->identity = "meter";
  auto settings = CoapRig::plain();
  settings.listen_dtls = "127.0.0.1:0";
  settings.command_wait = 5ms;
  settings.peer_rate = 0;
  settings.max_sessions = 500;
  settings.max_handshakes = 50;
  CoapRig rig({coap_map("tank-3", "/tank"), sleepy, dtls}, settings);
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  rig.ingress.set_key(coap_id("meter"), kKey);

  const auto seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  CAPTURE(seed);
  SmallRandom source(seed);
  const auto below = [&source](std::size_t end) { return static_cast<std::size_t>(source() % end); };
  // Records of a handshake and of a session, which somebody on the way changes and sends again as if the device did.
  UdpTap tap(rig.adapter.listening(true));
  DtlsPeer meter(tap.listening(), {"meter", kKey, {}, {}});
  REQUIRE(meter.ok());
  const auto alive = [&meter](std::uint16_t id) {
    // What the kernel has no room for is sent again, as a device does.
    for (int attempt = 0; attempt < 20; ++attempt) {
      meter.send(post("/meter/t", id, "served"));
      for (auto answer = meter.receive(1s); answer; answer = meter.receive(1s)) {
        if (answer->type == CoapMessage::con) meter.acknowledge(*answer);
        if (answer->code != 0) return answer->code == 204;
      }
    }
    return false;
  };
  REQUIRE(alive(1));
  const auto plain_seeds = seeds();
  const auto dtls_seeds = tap.heard();
  const auto before = resident();
  std::vector<std::unique_ptr<CoapPeer>> plain, secure;
  for (std::size_t i = 0; i < 40; ++i) {
    plain.push_back(std::make_unique<CoapPeer>(rig.adapter.listening(), forged(i)));
    secure.push_back(std::make_unique<CoapPeer>(rig.adapter.listening(true), forged(i)));
  }
  std::size_t sent[3] = {0, 0, 0};
  for (std::size_t i = 0; i < packets(); ++i) {
    const bool to_dtls = below(3) == 0;
    const auto& from = to_dtls ? dtls_seeds : plain_seeds;
    auto bytes = from[below(from.size())];
    const auto kind = below(8);
    if (kind == 0) bytes.assign(below(1400), '\0');
    if (kind == 1) bytes.resize(below(bytes.size() + 1));
    const auto changes = kind == 0 ? bytes.size() : kind == 7 ? std::size_t{0} : below(6);
    for (std::size_t change = 0; change < changes && !bytes.empty(); ++change) {
      bytes[kind == 0 ? change : below(bytes.size())] = static_cast<char>(below(256));
    }
    if (to_dtls && below(4) == 0) {
      tap.inject(bytes);
      ++sent[2];
    } else {
      auto& peer = (to_dtls ? secure : plain)[below(plain.size())];
      if (below(10) == 0) {
        peer = std::make_unique<CoapPeer>(to_dtls ? rig.adapter.listening(true) : rig.adapter.listening(),
                                          forged(below(50'000)));
      }
      peer->send_raw(bytes);
      ++sent[to_dtls ? 1 : 0];
    }
    // So that the kernel's buffer drops little, and a real device has its turn.
    if (i % 500 != 499) continue;
    REQUIRE(served(rig, 77));
    REQUIRE(rig.metric("coap_body_bytes") <= 4 * 1024 * 1024);
    if (i % 5000 == 4999) REQUIRE(alive(static_cast<std::uint16_t>(i)));
  }
  CHECK(alive(2));
  DtlsPeer late(rig.adapter.listening(true), {"meter", kKey, {}, {}});
  CHECK(late.ok());
  for (int i = 0; i < 20; ++i) CHECK_FALSE(DtlsPeer(rig.adapter.listening(true), {"nobody", kKey, {}, {}}).ok());
  CHECK(rig.metric("coap_handshakes_refused_total") >= 20);
  for (const auto& one : rig.ingress.received()) CHECK(one.body.size() <= settings.max_body);
  const auto grown = resident() - std::min(resident(), before);
  CHECK(grown < kMayGrow);
  std::printf("%zu plain datagrams, %zu to DTLS, %zu into a DTLS session; memory grew by %zu KiB; %s\n", sent[0],
              sent[1], sent[2], grown / 1024, rig.adapter.status().detail.c_str());
}

TEST_CASE("peers that never acknowledge their answers do not crowd out those that do", "[I-01]") {
  auto settings = CoapRig::plain();
  settings.max_sessions = 40;
  CoapRig rig({coap_map("tank-3", "/tank")}, settings);
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  std::size_t busy = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    CoapPeer forger(rig.adapter.listening(), forged(i));
    forger.send(post("/tank/t", 1, std::to_string(i)));
    for (auto answer = forger.receive(5s); answer; answer = forger.receive(5s)) {
      if (answer->code == 503) ++busy;
      if (answer->code != 0) break;
    }
  }
  CHECK(busy == 0);
  CHECK(served(rig, 77));
}
