// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>

#include "tests/component/coap/coap_rig.h"
#include "tests/support/dtls_peer.h"
#include "tests/support/tls_identity.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

const std::string kKey = "sixteen bytes of key";

config::Coap both() {
  auto out = CoapRig::plain();
  out.listen_dtls = "127.0.0.1:0";
  return out;
}

config::Coap with_certificates(const tests::TlsIdentity& files) {
  auto out = both();
  out.cert = files.certificate_file();
  out.key = files.key_file();
  out.ca_file = files.ca_file();
  return out;
}

// The same paths for all: only the identity tells them apart.
DeviceMap dtls_map(const std::string& id, const std::string& identity) {
  auto map = coap_map(id, "");
  map.coap->identity = identity;
  return map;
}

unsigned ask(DtlsPeer& peer, const CoapMessage& request) {
  peer.send(request);
  for (int i = 0; i < 4; ++i) {
    const auto answer = peer.receive(5s);
    if (!answer) return 0;
    if (answer->type == CoapMessage::con) peer.acknowledge(*answer);
    if (answer->code != 0) return answer->code;
  }
  return 0;
}

void take_all(CoapRig& rig) {
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
}

}  // namespace

TEST_CASE("over DTLS the pre-shared key's identity decides whose message it is", "[I-02][D-01]") {
  CoapRig rig({dtls_map("tank-3", "psk tank"), dtls_map("pump-1", "psk pump"), coap_map("plain", "/plain")}, both());
  take_all(rig);
  rig.ingress.set_key(coap_id("tank-3"), kKey);
  rig.ingress.set_key(coap_id("pump-1"), "another key");
  DtlsPeer tank(rig.adapter.listening(true), {"psk tank", kKey, {}, {}});
  DtlsPeer pump(rig.adapter.listening(true), {"psk pump", "another key", {}, {}});
  REQUIRE(tank.ok());
  REQUIRE(pump.ok());
  CHECK(ask(tank, post("/t", 1, "of the tank")) == 204);
  CHECK(ask(pump, post("/t", 1, "of the pump")) == 204);
  CHECK(ask(tank, post("/plain/t", 2, "not its own")) == 403);
  CHECK(ask(tank, post("/nothing", 3, "x")) == 404);
  const auto received = rig.ingress.received();
  REQUIRE(received.size() == 2);
  CHECK(received[0].device.text() == "tank-3");
  CHECK(received[0].body == "of the tank");
  CHECK(received[1].device.text() == "pump-1");
  // The plain listener is no way round.
  CoapPeer plain(rig.adapter.listening());
  plain.send(post("/t", 1, "x"));
  CHECK(plain.receive()->code == 401);
  CHECK(rig.adapter.status().detail.find("2 of 5000 peers, 0 of 500 handshakes") != std::string::npos);
}

TEST_CASE("a wrong key, an unknown identity and a device without a key get no session", "[I-02]") {
  CoapRig rig({dtls_map("tank-3", "tank"), dtls_map("pump-1", "pump")}, both());
  take_all(rig);
  rig.ingress.set_key(coap_id("tank-3"), kKey);
  CHECK_FALSE(DtlsPeer(rig.adapter.listening(true), {"tank", "wrong", {}, {}}).ok());
  CHECK_FALSE(DtlsPeer(rig.adapter.listening(true), {"nobody", kKey, {}, {}}).ok());
  CHECK_FALSE(DtlsPeer(rig.adapter.listening(true), {"pump", kKey, {}, {}}).ok());
  CHECK_FALSE(DtlsPeer(rig.adapter.listening(true), {"", kKey, {}, {}}).ok());
  CHECK(rig.metric("coap_handshakes_refused_total") >= 3);
  DtlsPeer tank(rig.adapter.listening(true), {"tank", kKey, {}, {}});
  CHECK(ask(tank, post("/t", 1, "x")) == 204);
}

TEST_CASE("keys come and go while the gateway runs, and with a key goes its session", "[I-02]") {
  CoapRig rig({dtls_map("tank-3", "tank")}, both());
  take_all(rig);
  CHECK_FALSE(DtlsPeer(rig.adapter.listening(true), {"tank", kKey, {}, {}}).ok());
  rig.ingress.set_key(coap_id("tank-3"), kKey);
  DtlsPeer tank(rig.adapter.listening(true), {"tank", kKey, {}, {}});
  REQUIRE(tank.ok());
  CHECK(ask(tank, post("/t", 1, "x")) == 204);
  rig.ingress.set_key(coap_id("tank-3"), "changed");
  CHECK(ask(tank, post("/t", 2, "x")) == 401);
  CHECK(ask(tank, post("/t", 3, "x")) == 0);  // the session has ended
  CHECK(rig.ingress.count() == 1);
  DtlsPeer again(rig.adapter.listening(true), {"tank", "changed", {}, {}});
  CHECK(ask(again, post("/t", 4, "x")) == 204);
  rig.ingress.set_key(coap_id("tank-3"), "");
  CHECK(ask(again, post("/t", 5, "x")) == 401);
}

TEST_CASE("a session is not resumed without its key", "[I-02]") {
  CoapRig rig({dtls_map("tank-3", "tank")}, both());
  take_all(rig);
  rig.ingress.set_key(coap_id("tank-3"), kKey);
  for (int round = 0; round < 3; ++round) {
    DtlsPeer first(rig.adapter.listening(true), {"tank", kKey, {}, {}, true});
    REQUIRE(first.ok());
    CHECK(ask(first, post("/t", 1, "x")) == 204);
    const std::unique_ptr<SSL_SESSION, void (*)(SSL_SESSION*)> session(first.session(), SSL_SESSION_free);
    DtlsPeer second(rig.adapter.listening(true), {"tank", kKey, {}, {}, true}, session.get());
    REQUIRE(second.ok());
    // A ticket of the first moments may be taken, but it proves nothing.
    CHECK(ask(second, post("/t", 2, "y")) == (second.resumed() ? 401U : 204U));
    if (round == 2) CHECK_FALSE(second.resumed());
  }
}

TEST_CASE("a certificate's name decides, its authority must be ours, and keys still work beside it", "[I-02]") {
  const tests::TlsIdentity ours("tank-3");
  const tests::TlsIdentity foreign("tank-3");
  CoapRig rig({dtls_map("tank-3", "tank-3"), dtls_map("pump-1", "pump")}, with_certificates(ours));
  take_all(rig);
  rig.ingress.set_key(coap_id("pump-1"), kKey);
  DtlsPeer tank(rig.adapter.listening(true), {{}, {}, ours.certificate_file(), ours.key_file()});
  REQUIRE(tank.ok());
  CHECK(ask(tank, post("/t", 1, "by certificate")) == 204);
  REQUIRE(rig.ingress.count() == 1);
  CHECK(rig.ingress.received()[0].device.text() == "tank-3");
  DtlsPeer pump(rig.adapter.listening(true), {"pump", kKey, {}, {}});
  CHECK(ask(pump, post("/t", 1, "by key")) == 204);
  DtlsPeer stranger(rig.adapter.listening(true), {{}, {}, foreign.certificate_file(), foreign.key_file()});
  CHECK((!stranger.ok() || ask(stranger, post("/t", 1, "x")) == 0));
  CHECK(rig.ingress.count() == 2);
}

TEST_CASE("a certificate of a name that no map has is refused", "[I-02]") {
  const tests::TlsIdentity files("somebody");
  CoapRig rig({dtls_map("tank-3", "tank-3")}, with_certificates(files));
  take_all(rig);
  DtlsPeer peer(rig.adapter.listening(true), {{}, {}, files.certificate_file(), files.key_file()});
  CHECK((!peer.ok() || ask(peer, post("/t", 1, "x")) == 0));
  CHECK(rig.ingress.count() == 0);
  CHECK(eventually([&] { return rig.metric("coap_handshakes_refused_total") == 1; }));
}

TEST_CASE("an observer over DTLS is gone with its session", "[C-02]") {
  Awaited<Outcome> outcome;
  CoapRig rig({dtls_map("tank-3", "tank")}, both());
  rig.ingress.set_key(coap_id("tank-3"), kKey);
  {
    DtlsPeer tank(rig.adapter.listening(true), {"tank", kKey, {}, {}});
    auto request = get("/cmd", 1);
    request.option(6, "");
    CHECK(ask(tank, request) == 205);
    REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  }
  CHECK(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));
  CHECK(rig.metric("coap_observers_lost_total") == 1);
}

TEST_CASE("files that cannot be used are told at the start") {
  auto settings = both();
  settings.cert = settings.key = settings.ca_file = "/nonexistent.pem";
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  CoapAdapter adapter(settings, {dtls_map("tank-3", "tank")}, clock, metrics);
  const auto started = adapter.start(ingress);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("coap.cert") != std::string::npos);
}
