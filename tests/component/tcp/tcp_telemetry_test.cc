// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/component/tcp/tcp_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

Admission safe(const Telemetry& /*telemetry*/) {
  return Admission::safe();
}

}  // namespace

TEST_CASE("a line is acknowledged once it and every earlier one are safe", "[D-01]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("one\n\ntwo\nthr"));
  REQUIRE(rig.ingress.wait_held(2));
  REQUIRE(rig.ingress.answer(Admission::safe(), 1));
  CHECK(peer.receive(1, 50ms).empty());
  REQUIRE(peer.send("ee\n"));
  REQUIRE(rig.ingress.wait_held(2));
  REQUIRE(rig.ingress.answer(Admission::safe()));
  CHECK(peer.receive(8) == "ACK\nACK\n");
  REQUIRE(rig.ingress.answer(Admission::safe()));
  CHECK(peer.receive(4) == "ACK\n");
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"one", "two", "three"});
  const auto first = rig.ingress.received().front();
  CHECK(first.device.text() == "scale-2");
  CHECK(first.content_type == "text/plain");
  CHECK(first.source == Source::tcp);
}

TEST_CASE("a line waits for its answer until its connection shows that it does not", "[D-01]") {
  auto without = tcp_map("mute");
  without.tcp->ack.reset();
  TcpRig rig({tcp_map("scale-2"), without});
  const auto waits = [&rig] { return rig.ingress.received().back().sender_waits; };
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("one\n"));
  REQUIRE(rig.ingress.wait_count(1));
  CHECK(waits());
  REQUIRE(peer.send("two\n"));  // before one was answered
  REQUIRE(rig.ingress.wait_count(2));
  CHECK_FALSE(waits());
  rig.ingress.answer_all(Admission::safe());
  REQUIRE(peer.receive(8) == "ACK\nACK\n");
  REQUIRE(peer.send("three\n"));
  REQUIRE(rig.ingress.wait_count(3));
  CHECK_FALSE(waits());
  auto again = rig.connect("scale-2");
  REQUIRE(again.send("four\n"));
  REQUIRE(rig.ingress.wait_count(4));
  CHECK(waits());
  auto mute = rig.connect("mute");
  REQUIRE(mute.send("five\n"));
  REQUIRE(rig.ingress.wait_count(5));
  CHECK_FALSE(waits());
}

TEST_CASE("a refused line gets no acknowledgement and the next one does", "[D-01]") {
  TcpRig rig({tcp_map("scale-2")});
  rig.ingress.answer_by([](const Telemetry& telemetry) {
    return telemetry.body == "bad" ? Admission::refused("too large") : Admission::safe();
  });
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("bad\ngood\n"));
  CHECK(peer.receive(4) == "ACK\n");
  CHECK(rig.metric("tcp_refused_total") == 1);
  CHECK(rig.metric("tcp_acknowledged_total") == 1);
}

TEST_CASE("a throttled line is offered again in its order and nothing else is read meanwhile", "[D-06]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("a\nb\n"));
  REQUIRE(rig.ingress.wait_held(2));
  rig.ingress.answer_all(Admission::throttled(100ms, "full"));
  REQUIRE(peer.send("c\n"));
  REQUIRE(rig.ingress.wait_held(1));
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"a", "b", "a"});
  rig.ingress.answer_by(safe);
  REQUIRE(rig.ingress.answer(Admission::safe()));
  CHECK(peer.receive(12) == "ACK\nACK\nACK\n");
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"a", "b", "a", "b", "c"});
  CHECK(rig.metric("tcp_throttled_total") == 2);
}

TEST_CASE("unanswered lines are bounded by not reading the socket", "[D-06]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  const std::string line = std::string(199, 'x') + "\n";
  std::string burst;
  while (burst.size() < 1024 * 1024) burst += line;
  const auto total = burst.size() / line.size();
  std::size_t sent = 0;
  std::thread sender([&] { sent = peer.send(burst) ? burst.size() : 0; });
  REQUIRE(rig.ingress.wait_held(1024));
  // Nothing tells that no more comes; what has come stays within the bound while the peer pushes on.
  CHECK_FALSE(rig.ingress.wait_held(1024 + 1, 100ms));
  rig.ingress.answer_by(safe);
  rig.ingress.answer_all(Admission::safe());
  CHECK(rig.ingress.wait_count(total));
  sender.join();
  CHECK(sent == burst.size());
  CHECK(peer.receive(total * 4).size() == total * 4);
}

TEST_CASE("an over-long line is dropped and counted, and the next is taken", "[I-01]") {
  TcpRig rig({tcp_map("scale-2")});
  rig.ingress.answer_by(safe);
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send(std::string(100'000, 'x') + "\nshort\n"));
  CHECK(peer.receive(4) == "ACK\n");
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"short"});
  CHECK(rig.metric("tcp_overlong_lines_total") == 1);
}

TEST_CASE("the newest connection is the device", "[I-02]") {
  TcpRig rig({tcp_map("scale-2"), tcp_map("scale-3")});
  auto old = rig.connect("scale-2");
  auto other = rig.connect("scale-3");
  REQUIRE(old.send("from old\n"));
  REQUIRE(rig.ingress.wait_held(1));
  SocketPeer fresh(rig.adapter.listening(tcp_id("scale-2")));
  REQUIRE(fresh.ok());
  CHECK(old.closed_by_peer());
  REQUIRE(fresh.send("from new\n"));
  REQUIRE(rig.ingress.wait_held(2));
  rig.ingress.answer_all(Admission::safe());
  CHECK(fresh.receive(4) == "ACK\n");
  CHECK(fresh.receive(1, 50ms).empty());  // the old connection's line is not the new one's
  rig.ingress.answer_by(safe);
  REQUIRE(other.send("x\n"));
  CHECK(other.receive(4) == "ACK\n");
}

TEST_CASE("a device that closes its side only still gets its acknowledgements", "[D-01]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("a\nb\ncut"));
  peer.shutdown_write();
  REQUIRE(rig.ingress.wait_held(2));
  REQUIRE(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::away));
  rig.ingress.answer_all(Admission::safe());
  CHECK(peer.receive(8) == "ACK\nACK\n");
  CHECK(peer.closed_by_peer());
  CHECK(rig.metric("tcp_cut_off_lines_total") == 1);
}

TEST_CASE("presence follows the connection", "[C-02]") {
  TcpRig rig({tcp_map("scale-2")});
  {
    auto peer = rig.connect("scale-2");
    const auto status = rig.adapter.status();
    CHECK(status.healthy);
    REQUIRE(status.devices.size() == 1);
    CHECK(status.devices[0].presence == Presence::reachable);
    CHECK_FALSE(status.devices[0].peer.empty());
  }
  CHECK(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::away));
  auto again = rig.connect("scale-2");
  CHECK(rig.metric("tcp_connections") == 1);
}

TEST_CASE("stop waits for the answers that are out, and acknowledges them", "[D-01]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("a\n"));
  REQUIRE(rig.ingress.wait_held(1));
  std::thread stopping([&] { rig.stop(20s); });
  CHECK(eventually([&] { return !rig.adapter.status().healthy; }));
  REQUIRE(rig.ingress.answer(Admission::safe()));
  CHECK(peer.receive(4) == "ACK\n");
  CHECK(peer.closed_by_peer());
  stopping.join();
}

TEST_CASE("stop ends at its deadline when answers stay out, and a late one harms nobody") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("a\n"));
  REQUIRE(rig.ingress.wait_held(1));
  rig.stop(50ms);
  CHECK(peer.closed_by_peer());
  rig.ingress.answer_all(Admission::safe());
  CHECK_FALSE(rig.adapter.status().healthy);
}

TEST_CASE("an abandoned line closes the connection without an acknowledgement", "[D-01]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("a\n"));
  REQUIRE(rig.ingress.wait_held(1));
  rig.ingress.answer_all(Admission::abandoned());
  CHECK(peer.closed_by_peer());
}

TEST_CASE("a port in use is an error that names device and address") {
  TcpRig rig({tcp_map("scale-2")});
  auto map = tcp_map("scale-9");
  map.tcp->listen = rig.adapter.listening(tcp_id("scale-2"));
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  TcpAdapter second({map}, clock, metrics);
  const auto started = second.start(ingress);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("scale-9") != std::string::npos);
  CHECK(started.error().message.find(map.tcp->listen) != std::string::npos);
}
