// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/component/tcp/tcp_rig.h"
#include "tests/support/socket_host.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {

DeviceMap dialled(const std::string& id, const SocketHost& host) {
  auto map = tcp_map(id);
  map.tcp->listen.clear();
  map.tcp->connect = host.address();
  map.tcp->line.retry = 500ms;
  return map;
}

void deliver(TcpRig& rig, Awaited<Outcome>& outcome, std::uint64_t sequence, const std::string& device = "scale-2",
             std::chrono::milliseconds patience = 30s) {
  rig.adapter.deliver(make_command(device, sequence, "open", rig.clock.steady() + patience), outcome.completion());
}

}  // namespace

TEST_CASE("a device is dialled, spoken with both ways, and dialled again when it went", "[R-01]") {
  SocketHost host;
  Awaited<Outcome> outcome;
  TcpRig rig({dialled("scale-2", host)});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  {
    auto device = host.accept();
    REQUIRE(device);
    REQUIRE(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::reachable));
    REQUIRE(device->send("1.5\n"));
    CHECK(device->receive_line() == "ACK");
    deliver(rig, outcome, 7);
    CHECK(device->receive_line() == "CMD 7 open");
    REQUIRE(device->send("DONE 7\n"));
    CHECK(outcome.wait()->kind == Kind::accepted);
  }
  REQUIRE(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::away));
  auto again = host.accept();
  REQUIRE(again);
  REQUIRE(again->send("2.5\n"));
  CHECK(again->receive_line() == "ACK");
}

TEST_CASE("a server that is away is tried again with growing patience, and found when it comes", "[R-01]") {
  std::uint16_t port = 0;
  {
    const SocketHost gone;
    port = static_cast<std::uint16_t>(std::stoi(gone.address().substr(gone.address().rfind(':') + 1)));
  }
  auto map = tcp_map("scale-2");
  map.tcp->listen.clear();
  map.tcp->connect = "127.0.0.1:" + std::to_string(port);
  map.tcp->line.retry = 500ms;
  TcpRig rig({map});
  CHECK(eventually([&] { return rig.metric("tcp_dial_failures_total") >= 2; }));
  CHECK(rig.ingress.presence_of(tcp_id("scale-2")) == Presence::away);
  SocketHost host(port);
  CHECK(host.accept());
}

TEST_CASE("a server of one slot never sees a second connection, whatever happens to the first", "[R-01] [I-01]") {
  SocketHost host;
  auto map = dialled("scale-2", host);
  map.tcp->line.silence = 300ms;
  TcpRig rig({map});
  for (int round = 0; round < 4; ++round) {
    auto slot = host.accept();
    REQUIRE(slot);
    // Nothing is said: the connection is dead after tcp.silence, and only then there is another.
    CHECK_FALSE(host.accept(150ms));
    CHECK(slot->closed_by_peer());
    CHECK(rig.metric("tcp_connections") <= 1);
  }
  CHECK(rig.metric("tcp_silent_total") >= 4);
}

TEST_CASE("a half-open peer is found by a probe that nobody answers", "[R-01]") {
  SocketHost host;
  auto map = dialled("scale-2", host);
  map.tcp->line.probe = TcpProbe{"STATUS?\n", 100ms, 300ms};
  map.tcp->line.heartbeats = {{*Pattern::parse("^alive$"), std::nullopt}};
  TcpRig rig({map});
  auto device = host.accept();
  REQUIRE(device);
  for (int i = 0; i < 3; ++i) {
    CHECK(device->receive_line() == "STATUS?");
    REQUIRE(device->send("alive\n"));
  }
  CHECK(device->receive_line() == "STATUS?");
  CHECK(device->closed_by_peer());
  CHECK(rig.ingress.count() == 0);
  CHECK(rig.metric("tcp_heartbeats_total") == 3);
  CHECK(host.accept());
}

TEST_CASE("a meter of one slot is connected for its command and let go after it", "[C-01] [C-02]") {
  SocketHost host;
  auto map = dialled("scale-2", host);
  map.tcp->line.release = 200ms;
  Awaited<Outcome> first;
  Awaited<Outcome> second;
  TcpRig rig({map});
  REQUIRE(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::reachable));
  CHECK_FALSE(host.accept(300ms));
  deliver(rig, first, 1);
  {
    auto slot = host.accept();
    REQUIRE(slot);
    CHECK(slot->receive_line() == "CMD 1 open");
    REQUIRE(slot->send("DONE 1\n"));
    CHECK(first.wait()->kind == Kind::accepted);
    CHECK(slot->closed_by_peer());
  }
  deliver(rig, second, 2);
  auto slot = host.accept();
  REQUIRE(slot);
  CHECK(slot->receive_line() == "CMD 2 open");
  REQUIRE(slot->send("DONE 2\n"));
  CHECK(second.wait()->kind == Kind::accepted);
}

TEST_CASE("a command for a server that cannot be reached is released, not kept", "[C-01]") {
  std::optional<SocketHost> host(std::in_place);
  auto map = dialled("scale-2", *host);
  map.tcp->line.release = 200ms;
  host.reset();
  Awaited<Outcome> outcome;
  TcpRig rig({map});
  deliver(rig, outcome, 1);
  CHECK(outcome.wait()->kind == Kind::released);
}

TEST_CASE("devices on one line are polled one after the other, each with its own answer", "[C-02] [I-02]") {
  SocketHost host;
  std::vector<DeviceMap> maps{dialled("slave-1", host), dialled("slave-2", host)};
  for (std::size_t i = 0; i < maps.size(); ++i) {
    auto& tcp = *maps[i].tcp;
    const auto unit = std::to_string(i + 1);
    tcp.ack.reset();
    tcp.line.identify.by = TcpIdentify::By::frame;
    tcp.line.identify.field = {.size = 1};
    tcp.line.gap = 20ms;
    tcp.is = unit;
    tcp.polls = {{unit + "?\n", 200ms, 5s}};
    tcp.command = TcpCommand{unit + "!{payload}\n", unit + " done"};
  }
  Awaited<Outcome> outcome;
  TcpRig rig(maps);
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  auto bus = host.accept();
  REQUIRE(bus);
  std::vector<std::string> asked;
  for (int i = 0; i < 6; ++i) {
    const auto question = bus->receive_line();
    REQUIRE(question.size() >= 2);
    // Nobody else is asked before the answer.
    CHECK(bus->receive(1, 30ms).empty());
    if (question == "2!open") {
      REQUIRE(bus->send("2 done\n"));
    } else {
      REQUIRE(bus->send(question.substr(0, 1) + " 42\n"));
    }
    asked.push_back(question);
    if (i == 2) deliver(rig, outcome, 9, "slave-2");
  }
  CHECK(outcome.wait()->kind == Kind::accepted);
  CHECK(std::count(asked.begin(), asked.end(), "1?") >= 2);
  CHECK(std::count(asked.begin(), asked.end(), "2?") >= 2);
  CHECK(std::count(asked.begin(), asked.end(), "2!open") == 1);
  for (const auto& telemetry : rig.ingress.received()) {
    CHECK(telemetry.body == (telemetry.device.text() == "slave-1" ? "1 42" : "2 42"));
  }
}

TEST_CASE("a poll that nobody answers is counted and holds up no other", "[C-02]") {
  SocketHost host;
  auto map = dialled("scale-2", host);
  map.tcp->polls = {{"A?\n", 10s, 100ms}, {"B?\n", 10s, 10s}};
  TcpRig rig({map});
  auto device = host.accept();
  REQUIRE(device);
  CHECK(device->receive_line() == "A?");
  CHECK(device->receive_line() == "B?");
  CHECK(rig.metric("tcp_polls_unanswered_total") == 1);
}
