// SPDX-License-Identifier: Apache-2.0
#include <future>

#include "tests/component/tcp/tcp_rig.h"
#include "tests/support/reserved_port.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

Result<void> change(TcpRig& rig, DeviceChanges changes) {
  std::promise<Result<void>> promise;
  auto future = promise.get_future();
  rig.adapter.change(std::move(changes), [&](Result<void> result) { promise.set_value(std::move(result)); });
  if (future.wait_for(20s) != std::future_status::ready) throw std::runtime_error("no answer to a change");
  return future.get();
}

DeviceMap shared_map(const std::string& id, const std::string& listen) {
  auto map = tcp_map(id);
  map.tcp->listen = listen;
  map.tcp->command.reset();
  map.tcp->line.identify.by = TcpIdentify::By::frame;
  map.tcp->line.identify.field.offset = 0;
  map.tcp->line.identify.field.size = 1;
  map.tcp->is = id.substr(0, 1);
  return map;
}

}  // namespace

TEST_CASE("a changed map ends its own device's connection and no other", "[I-01]") {
  TcpRig rig({tcp_map("scale-2"), tcp_map("scale-3")});
  rig.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
  auto changed = rig.connect("scale-2");
  auto other = rig.connect("scale-3");
  auto map = tcp_map("scale-2");
  map.tcp->listen = rig.adapter.listening(tcp_id("scale-2"));
  map.tcp->ack = "YES\n";
  REQUIRE(change(rig, {{}, {map}}));
  CHECK(changed.closed_by_peer());
  REQUIRE(other.send("one\n"));
  CHECK(other.receive(4) == "ACK\n");
  auto again = rig.connect("scale-2");
  REQUIRE(again.send("two\n"));
  CHECK(again.receive(4) == "YES\n");
}

TEST_CASE("a device that is taken away is heard no more, and one that comes is heard at once", "[I-02]") {
  TcpRig rig({tcp_map("scale-2")});
  rig.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
  auto gone = rig.connect("scale-2");
  REQUIRE(change(rig, {{tcp_id("scale-2")}, {tcp_map("scale-9")}}));
  CHECK(gone.closed_by_peer());
  CHECK(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::away));
  CHECK(rig.adapter.listening(tcp_id("scale-2")).empty());
  auto peer = rig.connect("scale-9");
  REQUIRE(peer.send("one\n"));
  CHECK(peer.receive(4) == "ACK\n");
  const auto status = rig.adapter.status();
  REQUIRE(status.devices.size() == 1);
  CHECK(status.devices[0].device == "scale-9");
}

TEST_CASE("what a device said before its map changed is still brought to safety", "[D-01]") {
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  REQUIRE(peer.send("one\ntwo\n"));
  REQUIRE(rig.ingress.wait_held(2));
  // The disk is slow just now: both are offered again, by nobody but the device that has left.
  rig.ingress.answer_all(Admission::throttled(20ms, "full"));
  rig.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
  REQUIRE(change(rig, {{tcp_id("scale-2")}, {}}));
  CHECK(rig.ingress.wait_count(4));
}

TEST_CASE("devices that share a socket come and go without the others' notice", "[I-01]") {
  const ReservedPort port;
  const auto listen = "127.0.0.1:" + std::to_string(port.value());
  TcpRig rig({shared_map("a-meter", listen), shared_map("b-meter", listen)});
  rig.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
  SocketPeer peer(rig.adapter.listening(tcp_id("a-meter")));
  REQUIRE(peer.ok());
  REQUIRE(peer.send("a1\nb1\n"));
  REQUIRE(peer.receive(8) == "ACK\nACK\n");
  REQUIRE(change(rig, {{tcp_id("b-meter")}, {shared_map("c-meter", listen)}}));
  REQUIRE(peer.send("a2\nc1\n"));
  REQUIRE(peer.receive(8) == "ACK\nACK\n");
  CHECK(rig.ingress.received().back().device == tcp_id("c-meter"));
  CHECK(rig.metric("tcp_connections") == 1);
}

TEST_CASE("a change that cannot be says why, and what was there can be given back", "[R-01]") {
  TcpRig rig({tcp_map("scale-2"), tcp_map("scale-3")});
  rig.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
  auto other = rig.connect("scale-3");
  auto taken = tcp_map("scale-2");
  taken.tcp->listen = rig.adapter.listening(tcp_id("scale-3"));
  const auto failed = change(rig, {{}, {taken}});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.find("scale-2") != std::string::npos);
  REQUIRE(change(rig, {{}, {tcp_map("scale-2")}}));
  auto again = rig.connect("scale-2");
  REQUIRE(again.send("one\n"));
  CHECK(again.receive(4) == "ACK\n");
  REQUIRE(other.send("two\n"));
  CHECK(other.receive(4) == "ACK\n");
}

TEST_CASE("a map that cannot be used leaves no device behind", "[R-01]") {
  TcpRig rig({tcp_map("scale-2")});
  auto wrong = tcp_map("scale-9");
  wrong.tcp->command = TcpCommand{"CMD {nothing of that name}\n", {}};
  const auto failed = change(rig, {{}, {wrong}});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.find("scale-9") != std::string::npos);
  const auto status = rig.adapter.status();
  REQUIRE(status.devices.size() == 1);
  CHECK(status.devices[0].device == "scale-2");
  REQUIRE(change(rig, {{}, {tcp_map("scale-9")}}));
  CHECK(rig.adapter.status().devices.size() == 2);
}
