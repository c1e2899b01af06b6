// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gateway/base/small_random.h"
#include "tests/component/coap/coap_rig.h"
#include "tests/support/dtls_peer.h"

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

// What a client begins with, again and again, without ever going on.
std::string client_hello() {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(DTLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  auto* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_set_connect_state(ssl.get());
  SSL_set_mtu(ssl.get(), 1400);
  SSL_do_handshake(ssl.get());
  ERR_clear_error();
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace

TEST_CASE("random, mutated and half-open datagrams do no harm, and devices are served", "[I-01][I-02]") {
  auto sleepy = coap_map("sleepy", "/sleepy");
  sleepy.coap->command.reset();
  sleepy.coap->piggyback = true;
  auto dtls = coap_map("meter", "/meter");
  dtls.coap->identity = "meter";
  auto settings = CoapRig::plain();
  settings.listen_dtls = "127.0.0.1:0";
  settings.command_wait = 5ms;
  settings.peer_rate = 0;
  // A peer that does not acknowledge its answer keeps its session for all retransmissions; too many of them mean 5.03
  // for everybody on that listener, so there is room for all of this test's.
  settings.max_sessions = 20'000;
  // Each half-open one counts for 30 s, after which the next may take its place: libcoap's bound, not ours.
  settings.max_handshakes = 5'000;
  CoapRig rig({coap_map("tank-3", "/tank"), sleepy, dtls}, settings);
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  rig.ingress.set_key(coap_id("meter"), kKey);

  const auto seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  CAPTURE(seed);
  SmallRandom source(seed);
  const auto below = [&source](std::size_t end) { return static_cast<std::size_t>(source() % end); };
  const auto plain_seeds = seeds();
  const std::vector<std::string> dtls_seeds{client_hello()};
  REQUIRE(dtls_seeds[0].size() > 50);
  std::vector<std::unique_ptr<CoapPeer>> plain, secure;
  for (int i = 0; i < 40; ++i) {
    plain.push_back(std::make_unique<CoapPeer>(rig.adapter.listening()));
    secure.push_back(std::make_unique<CoapPeer>(rig.adapter.listening(true)));
  }
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
    auto& peers = to_dtls ? secure : plain;
    auto& peer = peers[below(peers.size())];
    if (below(50) == 0) {
      peer = std::make_unique<CoapPeer>(to_dtls ? rig.adapter.listening(true) : rig.adapter.listening());
    }
    peer->send_raw(bytes);
    // So that the kernel's buffer drops little, and a real device has its turn.
    if (i % 500 != 499) continue;
    CoapPeer device(rig.adapter.listening());
    bool served = false;
    for (int attempt = 0; attempt < 20 && !served; ++attempt) {
      device.send(post("/tank/t", 77, "still here"));
      for (auto answer = device.receive(500ms); answer; answer = device.receive(500ms)) {
        if (answer->type == CoapMessage::con) device.acknowledge(*answer);
        served = served || answer->code == 204;
        if (served) break;
      }
    }
    REQUIRE(served);
    REQUIRE(rig.metric("coap_body_bytes") <= 4 * 1024 * 1024);
  }
  DtlsPeer meter(rig.adapter.listening(true), {"meter", kKey, {}, {}});
  REQUIRE(meter.ok());
  meter.send(post("/meter/t", 1, "served"));
  CHECK(meter.receive()->code == 0);
  CHECK(meter.receive()->code == 204);
  for (const auto& one : rig.ingress.received()) CHECK(one.body.size() <= settings.max_body);
}
