// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "tests/component/tcp/tcp_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using By = TcpIdentify::By;

namespace {

const std::string kShared = "127.0.0.1:0";

DeviceMap shared_map(const std::string& id, By by, std::string is = {}) {
  auto map = tcp_map(id);
  map.tcp->listen = kShared;
  map.tcp->line.identify.by = by;
  map.tcp->is = std::move(is);
  return map;
}

FrameField matching(const std::string& pattern) {
  return {.from = FrameField::From::match, .pattern = *Pattern::parse(pattern)};
}

std::vector<std::pair<std::string, std::string>> heard(TcpRig& rig) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& telemetry : rig.ingress.received()) out.emplace_back(telemetry.device.text(), telemetry.body);
  return out;
}

using Heard = std::vector<std::pair<std::string, std::string>>;

struct SafeRig : TcpRig {
  explicit SafeRig(std::vector<DeviceMap> maps) : TcpRig(std::move(maps)) {
    ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  }
  SocketPeer peer(const std::string& id) {
    SocketPeer out(adapter.listening(tcp_id(id)));
    REQUIRE(out.ok());
    return out;
  }
};

std::vector<DeviceMap> registering() {
  std::vector<DeviceMap> maps{shared_map("pump-1", By::registration, "A1"),
                              shared_map("pump-2", By::registration, "B2")};
  for (auto& map : maps) {
    map.tcp->line.identify.field = matching("^REG (\\w+)$");
    map.tcp->line.identify.answer = "HELLO\n";
    map.tcp->line.identify.hold_bytes = 64;
    map.tcp->line.heartbeats = {{*Pattern::parse("^ping$"), "pong\n"}};
  }
  return maps;
}

}  // namespace

TEST_CASE("a registration message says who speaks, and is no telemetry", "[I-02]") {
  SafeRig rig(registering());
  auto one = rig.peer("pump-1");
  auto two = rig.peer("pump-1");
  REQUIRE(one.send("REG A1\n1.5\n"));
  REQUIRE(two.send("early\nREG B2\n"));
  CHECK(one.receive_line() == "HELLO");
  CHECK(two.receive_line() == "HELLO");
  REQUIRE(rig.ingress.wait_count(2));
  REQUIRE(two.send("ping\n2.5\n"));
  REQUIRE(rig.ingress.wait_count(3));
  auto got = heard(rig);
  std::sort(got.begin(), got.end());
  CHECK(got == Heard{{"pump-1", "1.5"}, {"pump-2", "2.5"}, {"pump-2", "early"}});
  CHECK(two.receive_line() == "ACK");
  CHECK(two.receive_line() == "pong");
  CHECK(rig.metric("tcp_heartbeats_total") == 1);
}

TEST_CASE("so many raw bytes in front of the frames may say who speaks", "[I-02]") {
  auto map = shared_map("tracker", By::registration, "0a0b");
  map.tcp->line.identify.bytes = 2;
  map.tcp->line.identify.field = {.size = 2, .hex = true};
  SafeRig rig({map});
  auto peer = rig.peer("tracker");
  REQUIRE(peer.send("\x0A"));
  REQUIRE(
      peer.send("\x0B"
                "reading\n"));
  REQUIRE(rig.ingress.wait_count(1));
  CHECK(heard(rig) == Heard{{"tracker", "reading"}});
}

TEST_CASE("a peer that nobody knows gets so many bytes and so much time, and shows in status", "[I-01] [I-02]") {
  auto maps = registering();
  for (auto& map : maps) map.tcp->line.identify.hold_time = 300ms;
  SafeRig rig(maps);
  auto silent = rig.peer("pump-1");
  auto stranger = rig.peer("pump-1");
  auto flood = rig.peer("pump-1");
  REQUIRE(stranger.send("REG X9\n"));
  CHECK(flood.send(std::string(200, 'x')));
  CHECK(silent.closed_by_peer());
  CHECK(stranger.closed_by_peer());
  CHECK(flood.closed_by_peer());
  CHECK(eventually([&] { return rig.metric("tcp_unknown_total") == 3; }));
  CHECK(rig.ingress.count() == 0);
  const auto sample = rig.adapter.status().unknown_topics;
  CHECK(std::any_of(sample.begin(), sample.end(), [](const auto& text) { return text.ends_with("'X9'"); }));
}

TEST_CASE("of many strangers the latest are shown", "[I-02][S-01]") {
  auto maps = registering();
  for (auto& map : maps) map.tcp->line.identify.hold_time = 300ms;
  SafeRig rig(maps);
  for (int i = 0; i < 30; ++i) {
    auto stranger = rig.peer("pump-1");
    REQUIRE(stranger.send("REG X" + std::to_string(i) + "\n"));
    CHECK(stranger.closed_by_peer());
  }
  const auto sample = rig.adapter.status().unknown_topics;
  CHECK(sample.size() == 20);
  const auto shown = [&sample](std::string_view end) {
    return std::any_of(sample.begin(), sample.end(), [end](const auto& text) { return text.ends_with(end); });
  };
  CHECK(shown("'X29'"));
  CHECK_FALSE(shown("'X0'"));
}

TEST_CASE("a field of each message tells several devices on one connection apart", "[I-02]") {
  std::vector<DeviceMap> maps{shared_map("slave-1", By::frame, "01"), shared_map("slave-2", By::frame, "02")};
  for (auto& map : maps) map.tcp->line.identify.field = matching("^(\\d\\d)");
  SafeRig rig(maps);
  auto peer = rig.peer("slave-1");
  REQUIRE(peer.send("01 a\n02 b\n09 c\n01 d\n"));
  REQUIRE(rig.ingress.wait_count(3));
  CHECK(heard(rig) == Heard{{"slave-1", "01 a"}, {"slave-2", "02 b"}, {"slave-1", "01 d"}});
  for (int i = 0; i < 3; ++i) CHECK(peer.receive_line() == "ACK");
  CHECK(rig.metric("tcp_unknown_frames_total") == 1);
  CHECK(rig.ingress.presence_of(tcp_id("slave-2")) == Presence::reachable);

  // One moves to another connection; the other stays where it is.
  auto other = rig.peer("slave-1");
  REQUIRE(other.send("02 e\n"));
  CHECK(other.receive_line() == "ACK");
  REQUIRE(peer.send("01 f\n"));
  CHECK(peer.receive_line() == "ACK");
}

TEST_CASE("on a shared connection acknowledgements come in the order of its messages", "[D-01]") {
  std::vector<DeviceMap> maps{shared_map("slave-1", By::frame, "01"), shared_map("slave-2", By::frame, "02")};
  for (auto& map : maps) map.tcp->line.identify.field = {.size = 2};
  TcpRig rig(maps);
  SocketPeer peer(rig.adapter.listening(tcp_id("slave-1")));
  REQUIRE(peer.send("01 a\n02 b\n"));
  REQUIRE(rig.ingress.wait_held(2));
  CHECK(rig.ingress.answer(Admission::safe(), 1));
  CHECK(peer.receive(1, 100ms).empty());
  CHECK(rig.ingress.answer(Admission::safe(), 0));
  CHECK(peer.receive_line() == "ACK");
  CHECK(peer.receive_line() == "ACK");
}

TEST_CASE("a throttled device of a shared connection holds up itself only", "[D-06] [I-01]") {
  std::vector<DeviceMap> maps{shared_map("slave-1", By::frame, "01"), shared_map("slave-2", By::frame, "02")};
  for (auto& map : maps) {
    map.tcp->line.identify.field = {.size = 2};
    map.tcp->ack.reset();
  }
  TcpRig rig(maps);
  std::atomic<bool> full = true;
  rig.ingress.answer_by([&](const Telemetry& telemetry) {
    return full && telemetry.device.text() == "slave-1" ? Admission::throttled(50ms, "full") : Admission::safe();
  });
  SocketPeer peer(rig.adapter.listening(tcp_id("slave-1")));
  // Both have spoken: it is their connection.
  REQUIRE(peer.send("02 x\n01 a\n"));
  CHECK(eventually([&] { return rig.metric("tcp_throttled_total") > 0; }));
  REQUIRE(peer.send("01 b\n02 c\n02 d\n"));
  const auto bodies_of = [&](const std::string& id) {
    std::vector<std::string> out;
    for (const auto& [device, body] : heard(rig)) {
      if (device == id && (out.empty() || out.back() != body)) out.push_back(body);
    }
    return out;
  };
  CHECK(eventually([&] { return bodies_of("slave-2") == std::vector<std::string>{"02 x", "02 c", "02 d"}; }));
  CHECK(bodies_of("slave-1") == std::vector<std::string>{"01 a"});
  full = false;
  CHECK(eventually([&] { return bodies_of("slave-1") == std::vector<std::string>{"01 a", "01 b"}; }));
}

TEST_CASE("the source address says who speaks", "[I-02]") {
  SafeRig rig({shared_map("any", By::address, "127.0.0.0/8"), shared_map("this", By::address, "127.0.0.1"),
               shared_map("far", By::address, "10.0.0.0/8")});
  auto peer = rig.peer("any");
  REQUIRE(peer.send("x\n"));
  REQUIRE(rig.ingress.wait_count(1));
  CHECK(heard(rig) == Heard{{"this", "x"}});
  SafeRig other({shared_map("far", By::address, "10.0.0.0/8")});
  auto stranger = other.peer("far");
  CHECK(stranger.closed_by_peer());
  CHECK(other.metric("tcp_unknown_total") == 1);
}

TEST_CASE("only the addresses that the map allows may connect", "[I-02]") {
  auto map = tcp_map("scale-2");
  map.tcp->line.allow = {"10.0.0.0/8"};
  SafeRig rig({map});
  CHECK(rig.peer("scale-2").closed_by_peer());
  CHECK(eventually([&] { return rig.metric("tcp_turned_away_total") == 1; }));
  map.tcp->line.allow = {"10.0.0.0/8", "127.0.0.1"};
  SafeRig open({map});
  auto peer = open.connect("scale-2");
  REQUIRE(peer.send("x\n"));
  CHECK(peer.receive_line() == "ACK");
}

TEST_CASE("one address has no more connections than the map gives it, and its place comes free", "[I-01] [I-02]") {
  auto maps = registering();
  for (auto& map : maps) map.tcp->line.max_per_address = 2;
  SafeRig rig(maps);
  auto one = rig.peer("pump-1");
  REQUIRE(one.send("REG A1\n"));
  CHECK(one.receive_line() == "HELLO");
  {
    auto two = rig.peer("pump-1");
    REQUIRE(two.send("REG B2\n"));
    CHECK(two.receive_line() == "HELLO");
    CHECK(rig.peer("pump-1").closed_by_peer());
    CHECK(rig.metric("tcp_turned_away_total") == 1);
  }
  CHECK(eventually([&] { return rig.metric("tcp_connections") == 1; }));
  auto again = rig.peer("pump-1");
  REQUIRE(again.send("REG B2\n"));
  CHECK(again.receive_line() == "HELLO");
}

TEST_CASE("a second connection of a device is refused where its map says so", "[I-02]") {
  auto map = tcp_map("scale-2");
  map.tcp->line.refuse_second = true;
  SafeRig rig({map});
  auto first = rig.connect("scale-2");
  auto second = rig.peer("scale-2");
  CHECK(second.closed_by_peer());
  REQUIRE(first.send("still here\n"));
  CHECK(first.receive_line() == "ACK");
}

TEST_CASE("an acknowledgement can name the message, and a repeat is known by its sequence", "[D-01] [D-03]") {
  auto map = tcp_map("scale-2");
  map.tcp->ack = "OK {sequence}\n";
  map.tcp->line.sequence = matching("^(\\d+):");
  SafeRig rig({map});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("17:a\n18:b\n17:a\n17:c\n"));
  CHECK(peer.receive_line() == "OK 17");
  CHECK(peer.receive_line() == "OK 18");
  CHECK(peer.receive_line() == "OK 17");
  CHECK(peer.receive_line() == "OK 17");
  const auto received = rig.ingress.received();
  REQUIRE(received.size() == 4);
  CHECK(received[0].source_key == received[2].source_key);
  CHECK(received[0].source_key != received[1].source_key);
  CHECK(received[0].source_key != received[3].source_key);
}

TEST_CASE("a cumulative acknowledgement stands for all before it", "[D-01]") {
  auto map = tcp_map("scale-2");
  map.tcp->ack = "OK {sequence}\n";
  map.tcp->line.sequence = matching("^(\\d+):");
  map.tcp->line.cumulative = true;
  TcpRig rig({map});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("1:a\n2:b\n3:c\n4:d\n"));
  REQUIRE(rig.ingress.wait_held(4));
  // The second and third wait behind the first.
  CHECK(rig.ingress.answer(Admission::safe(), 1));
  CHECK(rig.ingress.answer(Admission::safe(), 1));
  CHECK(peer.receive(1, 50ms).empty());
  CHECK(rig.ingress.answer(Admission::safe(), 0));
  CHECK(peer.receive_line() == "OK 3");
  CHECK(rig.ingress.answer_all(Admission::safe()) == 1);
  CHECK(peer.receive_line() == "OK 4");
}
