// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/component/coap/coap_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

TEST_CASE("a confirmable request gets an empty ACK at once and a separate 2.04 only once it is safe", "[D-01]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  REQUIRE(peer.ok());
  auto request = post("/tank/t", 100, "21.5");
  request.option(12, std::string(1, 50));
  peer.send(request);
  const auto ack = peer.receive();
  REQUIRE(ack);
  CHECK(ack->type == CoapMessage::ack);
  CHECK(ack->code == 0);
  CHECK(ack->id == 100);
  CHECK(ack->token.empty());
  REQUIRE(rig.ingress.wait_held(1));
  CHECK_FALSE(peer.receive(50ms));
  REQUIRE(rig.ingress.answer(Admission::safe()));
  const auto response = peer.receive();
  REQUIRE(response);
  CHECK(response->type == CoapMessage::con);
  CHECK(response->code == 204);
  CHECK(response->token == "tk100");
  peer.acknowledge(*response);
  const auto received = rig.ingress.received();
  REQUIRE(received.size() == 1);
  CHECK(received[0].device.text() == "tank-3");
  CHECK(received[0].body == "21.5");
  CHECK(received[0].content_type == "application/json");
  CHECK(received[0].source == Source::coap);
}

TEST_CASE("the 2.04 is sent again until the device acknowledges it", "[D-01]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x"));
  REQUIRE(peer.receive()->code == 0);
  const auto first = peer.receive();
  const auto second = peer.receive();
  REQUIRE(first);
  REQUIRE(second);
  CHECK(second->code == 204);
  CHECK(second->id == first->id);
  peer.acknowledge(*second);
}

TEST_CASE("a retransmitted request is not taken twice", "[D-03]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  const auto request = post("/tank/t", 7, "x");
  peer.send(request);
  REQUIRE(peer.receive()->code == 0);
  REQUIRE(rig.ingress.wait_held(1));
  peer.send(request);  // before the answer: an empty ACK again, nothing more
  const auto again = peer.receive();
  REQUIRE(again);
  CHECK(again->type == CoapMessage::ack);
  CHECK(again->code == 0);
  REQUIRE(rig.ingress.answer(Admission::safe()));
  const auto response = peer.receive();
  REQUIRE(response);
  CHECK(response->code == 204);
  peer.acknowledge(*response);
  peer.send(request);  // after it: the same answer
  const auto repeated = peer.receive();
  REQUIRE(repeated);
  CHECK(repeated->code == 204);
  CHECK(repeated->token == "tk7");
  CHECK(repeated->id == 7);
  CHECK(rig.ingress.count() == 1);
  CHECK(rig.metric("coap_repeated_total") == 2);
}

TEST_CASE("a full gateway answers 5.03 with Max-Age in seconds, rounded up", "[D-06]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::throttled(1200ms, "full"); });
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x"));
  REQUIRE(peer.receive()->code == 0);
  const auto response = peer.receive();
  REQUIRE(response);
  CHECK(response->code == 503);
  CHECK(response->find_uint(14) == 2U);
  peer.acknowledge(*response);
}

TEST_CASE("a refused message gets 4.13 when it is too large, else 4.00, with the reason", "[D-04]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  rig.ingress.answer_by([](const Telemetry& telemetry) {
    return Admission::refused(telemetry.body == "big" ? "oversize: 300000 bytes" : "no such thing");
  });
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "big"));
  REQUIRE(peer.receive()->code == 0);
  const auto large = peer.receive();
  REQUIRE(large);
  CHECK(large->code == 413);
  peer.acknowledge(*large);
  peer.send(post("/tank/t", 2, "odd"));
  REQUIRE(peer.receive()->code == 0);
  const auto odd = peer.receive();
  REQUIRE(odd);
  CHECK(odd->code == 400);
  CHECK(odd->payload == "no such thing");
  peer.acknowledge(*odd);
}

TEST_CASE("a non-confirmable request gets a non-confirmable 2.04 once it is safe", "[D-01]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x", CoapMessage::non));
  REQUIRE(rig.ingress.wait_held(1));
  CHECK_FALSE(peer.receive(50ms));
  REQUIRE(rig.ingress.answer(Admission::safe()));
  const auto response = peer.receive();
  REQUIRE(response);
  CHECK(response->type == CoapMessage::non);
  CHECK(response->code == 204);
}

TEST_CASE("a device that wants no 2.xx gets none, but its message is taken") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  CoapPeer peer(rig.adapter.listening());
  auto request = post("/tank/t", 1, "x", CoapMessage::non);
  request.option(258, std::string(1, 2));
  peer.send(request);
  REQUIRE(rig.ingress.wait_count(1));
  CHECK(eventually([&] { return rig.metric("coap_acknowledged_total") == 1; }));
  CHECK_FALSE(peer.receive(50ms));
}

TEST_CASE("what no map allows is refused and reaches nobody", "[I-02]") {
  auto bound = coap_map("pump-1", "/pump");
  bound.coap->address = "127.0.0.9";
  CoapRig rig({coap_map("tank-3", "/tank"), bound});
  CoapPeer peer(rig.adapter.listening());
  const auto ask = [&peer](const CoapMessage& request) {
    peer.send(request);
    const auto answer = peer.receive();
    return answer ? answer->code : 0;
  };
  CHECK(ask(post("/nobody/t", 1, "x")) == 404);
  CHECK(ask(post("/pump/t", 2, "x")) == 401);
  CHECK(ask(get("/tank/t", 3)) == 405);
  CHECK(ask(post("/tank/cmd", 4, "x")) == 405);
  CHECK(ask(post("/tank/t", 5, "x").option(1, "etag")) == 402);
  CHECK(ask(post("/tank/t", 6, "x").option(27, std::string(1, '\x0f'))) == 402);
  CHECK(ask(post("/tank/t", 7, "x").option(35, "coap://elsewhere")) == 505);
  auto unknown_delete = post("/nobody", 8, {});
  unknown_delete.code = 4;
  CHECK(ask(unknown_delete) == 404);
  CHECK(rig.ingress.count() == 0);

  CoapPeer pump(rig.adapter.listening(), "127.0.0.9");
  REQUIRE(pump.ok());
  pump.send(post("/pump/t", 1, "x"));
  REQUIRE(pump.receive()->code == 0);
  REQUIRE(rig.ingress.wait_count(1));
  CHECK(rig.ingress.received()[0].device.text() == "pump-1");
}

TEST_CASE("two devices on one path are told apart by their address", "[I-02]") {
  auto one = coap_map("pump-1", "/pump");
  auto two = coap_map("pump-2", "/pump");
  one.coap->address = "127.0.0.11";
  two.coap->address = "127.0.0.12";
  CoapRig rig({one, two});
  CoapPeer first(rig.adapter.listening(), "127.0.0.11");
  CoapPeer second(rig.adapter.listening(), "127.0.0.12");
  second.send(post("/pump/t", 1, "x"));
  REQUIRE(rig.ingress.wait_count(1));
  first.send(post("/pump/t", 1, "x"));
  REQUIRE(rig.ingress.wait_count(2));
  CHECK(rig.ingress.received()[0].device.text() == "pump-2");
  CHECK(rig.ingress.received()[1].device.text() == "pump-1");
}

TEST_CASE("garbage on the CoAP port is survived", "[I-01]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  CoapPeer bad(rig.adapter.listening());
  for (const auto* bytes : {"", "\x40", "\xff\xff\xff\xff", "\x4f\x02\x00\x01token-too-long-for-this",
                            "\x40\x02\x00\x01\xff", "\x40\x02\x00\x01\xf0", "\x40\xe1\x00\x01"}) {
    bad.send_raw(bytes);
  }
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x"));
  REQUIRE(peer.receive()->code == 0);
  CHECK(peer.receive()->code == 204);
}

TEST_CASE("many devices at once are each answered for themselves", "[I-01]") {
  std::vector<DeviceMap> maps;
  for (int i = 0; i < 50; ++i) maps.push_back(coap_map("d" + std::to_string(i), "/d" + std::to_string(i)));
  CoapRig rig(maps);
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  std::vector<std::unique_ptr<CoapPeer>> peers;
  for (int i = 0; i < 50; ++i) peers.push_back(std::make_unique<CoapPeer>(rig.adapter.listening()));
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) {
      peers[static_cast<std::size_t>(i)]->send(
          post("/d" + std::to_string(i) + "/t", static_cast<std::uint16_t>(round), std::to_string(round)));
    }
    for (auto& peer : peers) {
      std::optional<CoapMessage> answer;
      do {
        answer = peer->receive();
        REQUIRE(answer);
      } while (answer->code == 0);
      CHECK(answer->code == 204);
      CHECK(answer->token == "tk" + std::to_string(round));
      peer->acknowledge(*answer);
    }
  }
  CHECK(rig.ingress.count() == 1000);
}

TEST_CASE("stop answers what is safe by then, and refuses new requests with 5.03", "[D-01]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x"));
  REQUIRE(peer.receive()->code == 0);
  REQUIRE(rig.ingress.wait_held(1));
  std::thread stopping([&] { rig.stop(20s); });
  CoapPeer other(rig.adapter.listening());
  std::uint16_t id = 100;
  CHECK(eventually([&] {
    other.send(post("/tank/t", ++id, "late"));
    const auto answer = other.receive();
    return answer && answer->code == 503 && answer->find_uint(14);
  }));
  rig.ingress.answer_all(Admission::safe());
  const auto response = peer.receive();
  REQUIRE(response);
  CHECK(response->code == 204);
  peer.acknowledge(*response);
  stopping.join();
  CHECK_FALSE(rig.adapter.status().healthy);
}

TEST_CASE("stop ends at its deadline when admissions stay out, and a late one harms nobody") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x"));
  REQUIRE(rig.ingress.wait_held(1));
  rig.stop(50ms);
  rig.ingress.answer_all(Admission::safe());
}

TEST_CASE("a CoAP port in use is an error that names the address") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  Metrics metrics;
  FakeIngress ingress;
  config::Coap taken;
  taken.listen = rig.adapter.listening();
  CoapAdapter second(taken, {coap_map("tank-3", "/tank")}, rig.clock, metrics);
  const auto started = second.start(ingress);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find(rig.adapter.listening()) != std::string::npos);
}

TEST_CASE("a device says when its message was, and one without a clock is told the time") {
  auto by_option = coap_map("tank-3", "/tank");
  by_option.coap->time = CoapTime{65000, {}, {{}, DeviceTime::Format::unix_milliseconds, false}};
  auto by_query = coap_map("pump-1", "/pump");
  by_query.coap->time = CoapTime{0, "ts", {{}, DeviceTime::Format::unix_seconds, false}};
  CoapRig rig({by_option, by_query});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  CoapPeer peer(rig.adapter.listening());
  const auto answer = [&peer](CoapMessage request) {
    peer.send(request);
    REQUIRE(peer.receive()->code == 0);
    auto out = peer.receive();
    REQUIRE(out);
    peer.acknowledge(*out);
    CHECK(out->code == 204);
    return *out;
  };
  CHECK_FALSE(answer(post("/tank/t", 1, "x").option(65000, {"\x01\x8b\xcf\xe5\x68\x7b", 6})).find(65000));
  CHECK_FALSE(answer(post("/pump/t", 2, "x").option(15, "ts=1700000000")).find(65000));
  const auto told = answer(post("/tank/t", 3, "x").option(65000, {})).find(65000);
  REQUIRE(told);
  std::int64_t time = 0;
  for (const char c : *told) time = time << 8 | static_cast<unsigned char>(c);
  CHECK(std::chrono::abs(WallTime(Milliseconds(time)) - rig.clock.wall()) < 60s);
  const auto received = rig.ingress.received();
  REQUIRE(received.size() == 3);
  CHECK(received[0].device_time == WallTime(Milliseconds(1'700'000'000'123)));
  CHECK(received[1].device_time == WallTime(Milliseconds(1'700'000'000'000)));
  CHECK_FALSE(received[2].device_time);
}

TEST_CASE("nothing is fetched or passed on for somebody else", "[I-02]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  CoapPeer peer(rig.adapter.listening());
  auto by_uri = post("/tank/t", 1, "x");
  by_uri.option(35, "coap://127.0.0.1:9/tank/t");
  auto by_scheme = post("/tank/t", 2, "x");
  by_scheme.option(3, "127.0.0.1").option(39, "coap");
  for (const auto& request : {by_uri, by_scheme}) {
    peer.send(request);
    const auto answer = peer.receive();
    REQUIRE(answer);
    CHECK(answer->code == 505);
  }
  CHECK(rig.ingress.count() == 0);
}
