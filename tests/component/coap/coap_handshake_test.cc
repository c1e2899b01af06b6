// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/component/coap/coap_rig.h"
#include "tests/support/dtls_hello.h"
#include "tests/support/dtls_peer.h"
#include "tests/support/tls_identity.h"
#include "tests/support/udp_tap.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

const std::string kKey = "sixteen bytes of key";

struct DtlsRig : CoapRig {
  explicit DtlsRig(unsigned handshakes = 500) : CoapRig(maps(), settings(handshakes)) {
    ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
    ingress.set_key(coap_id("tank-3"), kKey);
  }
  static std::vector<DeviceMap> maps() {
    auto map = coap_map("tank-3", "");
    map.coap->identity = "tank";
    return {map};
  }
  static config::Coap settings(unsigned handshakes) {
    config::Coap out;
    out.listen_dtls = "127.0.0.1:0";
    out.max_handshakes = handshakes;
    return out;
  }
  [[nodiscard]] std::string at() const { return adapter.listening(true); }
  bool shows(const std::string& text) {
    return eventually([&] { return adapter.status().detail.find(text) != std::string::npos; });
  }
};

DtlsProof tank(std::uint16_t port = 0) {
  DtlsProof out{"tank", kKey, {}, {}};
  out.port = port;
  return out;
}

unsigned ask(DtlsPeer& peer, const CoapMessage& request, std::chrono::milliseconds patience = 20s) {
  peer.send(request);
  for (auto answer = peer.receive(patience); answer; answer = peer.receive(patience)) {
    if (answer->type == CoapMessage::con) peer.acknowledge(*answer);
    if (answer->code != 0) return answer->code;
  }
  return 0;
}

std::string raw_answer(const CoapPeer& peer) {
  pollfd wait{peer.fd(), POLLIN, 0};
  if (::poll(&wait, 1, 20'000) != 1) return {};
  char bytes[2048];
  const auto count = ::recv(peer.fd(), bytes, sizeof bytes, 0);
  return count < 0 ? std::string() : std::string(bytes, static_cast<std::size_t>(count));
}

}  // namespace

TEST_CASE("first messages from forged addresses keep nothing, and devices shake hands meanwhile", "[I-01]") {
  DtlsRig rig(5);
  for (int i = 0; i < 400; ++i) {
    CoapPeer forger(rig.at(), "127.0." + std::to_string(i / 200 + 1) + "." + std::to_string(i % 200 + 1));
    forger.send_raw(DtlsHello().first());
  }
  DtlsPeer device(rig.at(), tank());
  REQUIRE(device.ok());
  CHECK(ask(device, post("/t", 1, "x")) == 204);
  CHECK(rig.shows("1 of 5000 peers, 0 of 5 handshakes"));
}

TEST_CASE("handshakes that one address leaves unfinished do not keep the others out", "[I-01]") {
  DtlsRig rig(10);
  std::vector<std::unique_ptr<CoapPeer>> stuck;
  for (int i = 0; i < 30; ++i) {
    stuck.push_back(std::make_unique<CoapPeer>(rig.at(), "127.0.0.9"));
    DtlsHello hello;
    stuck.back()->send_raw(hello.first());
    const auto again = hello.next(raw_answer(*stuck.back()));
    REQUIRE_FALSE(again.empty());
    stuck.back()->send_raw(again);
  }
  CHECK(rig.shows("5 of 10 handshakes"));
  DtlsPeer device(rig.at(), tank());
  REQUIRE(device.ok());
  CHECK(ask(device, post("/t", 1, "x")) == 204);
}

TEST_CASE("a handshake that fails at its first message is forgotten", "[I-01]") {
  DtlsRig rig;
  auto misfit = tank();
  misfit.suites = "ECDHE-ECDSA-AES128-GCM-SHA256";
  for (int i = 0; i < 20; ++i) CHECK_FALSE(DtlsPeer(rig.at(), misfit).ok());
  CHECK(rig.shows("(0 of 5000 peers, 0 of 500 handshakes"));
}

TEST_CASE("a device that restarts on its old port is heard at once, and nobody else ends its session", "[I-01][I-02]") {
  DtlsRig rig;
  std::uint16_t port = 0;
  {
    DtlsPeer before(rig.at(), tank());
    REQUIRE(before.ok());
    auto watch = get("/cmd", 1);
    CHECK(ask(before, watch.option(6, "")) == 205);
    REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
    port = before.port();
    before.vanish();
  }
  DtlsPeer after(rig.at(), tank(port));
  REQUIRE(after.ok());
  CHECK(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));  // it observes anew, or it does not
  CHECK(ask(after, post("/t", 2, "here again")) == 204);
  CHECK(rig.shows("1 of 5000 peers, 0 of 500 handshakes"));

  // Somebody who claims to be at its address, and does not hear what is answered.
  const auto forged = DtlsHello().first();
  ::send(after.fd(), forged.data(), forged.size(), 0);
  CHECK(ask(after, post("/t", 3, "still here")) == 204);
  CHECK(rig.ingress.count() == 2);
}

TEST_CASE("what is recorded and sent again on a DTLS session counts once, and what was changed never", "[I-02]") {
  DtlsRig rig;
  UdpTap tap(rig.at());
  DtlsPeer device(tap.listening(), tank());
  REQUIRE(device.ok());
  CHECK(ask(device, post("/t", 1, "once")) == 204);
  const auto heard = tap.heard();
  REQUIRE(heard.size() >= 4);
  for (int round = 0; round < 3; ++round) {
    for (const auto& datagram : heard) tap.inject(datagram);
  }
  for (std::size_t i = 0; i < heard.back().size(); ++i) {
    auto changed = heard.back();
    changed[i] = static_cast<char>(changed[i] ^ 1);
    tap.inject(changed);
  }
  CHECK(ask(device, post("/t", 2, "twice")) == 204);
  REQUIRE(rig.ingress.count() == 2);
  CHECK(rig.ingress.received()[1].body == "twice");
}

TEST_CASE("a forged record that is too short for its cipher does not end a session", "[I-01]") {
  const tests::TlsIdentity files("tank");
  auto settings = DtlsRig::settings(500);
  settings.cert = files.certificate_file();
  settings.key = files.key_file();
  settings.ca_file = files.ca_file();
  CoapRig rig(DtlsRig::maps(), settings);
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  rig.ingress.set_key(coap_id("tank-3"), kKey);
  DtlsPeer by_key(rig.adapter.listening(true), tank());
  DtlsPeer by_certificate(rig.adapter.listening(true), {{}, {}, files.certificate_file(), files.key_file()});
  std::uint16_t id = 1;
  for (auto* device : {&by_key, &by_certificate}) {
    REQUIRE(device->ok());
    REQUIRE(ask(*device, post("/t", id++, "x")) == 204);
    for (char length = 0; length < 40; ++length) {
      auto record = std::string("\x17\xfe\xfd\0\1\0\0\0\0\xff", 10) + length + '\0' + length;
      record.append(static_cast<std::size_t>(length), 'x');
      ::send(device->fd(), record.data(), record.size(), 0);
    }
    CHECK(ask(*device, post("/t", id++, "y")) == 204);
  }
}

TEST_CASE("what a new DTLS session says from an old port is no repeat of what the old one said", "[D-01]") {
  DtlsRig rig;
  std::uint16_t port = 0;
  for (std::size_t life = 1; life <= 3; ++life) {
    DtlsPeer device(rig.at(), tank(port));
    REQUIRE(device.ok());
    port = device.port();
    CHECK(ask(device, post("/t", 1, "21.5")) == 204);
    CHECK(ask(device, post("/t", 1, "21.5")) == 204);  // a repeat
    CHECK(rig.ingress.count() == life);
    device.vanish();
  }
  const auto received = rig.ingress.received();
  REQUIRE(received.size() == 3);
  CHECK(received[0].source_key != received[1].source_key);
  CHECK(received[1].source_key != received[2].source_key);
}
