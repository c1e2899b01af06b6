// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>
#include <vector>

#include "tests/component/tcp/tcp_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {

void deliver(TcpRig& rig, Awaited<Outcome>& outcome, std::uint64_t sequence, std::string body = "open",
             std::chrono::milliseconds patience = 30s) {
  rig.adapter.deliver(make_command("scale-2", sequence, std::move(body), rig.clock.steady() + patience),
                      outcome.completion());
}

}  // namespace

TEST_CASE("a TCP command is accepted when its reply line came, which is not telemetry", "[C-01]") {
  Awaited<Outcome> outcome;
  TcpRig rig({tcp_map("scale-2")});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  auto peer = rig.connect("scale-2");
  deliver(rig, outcome, 7);
  CHECK(peer.receive_line() == "CMD 7 open");
  CHECK_FALSE(outcome.answered());
  REQUIRE(peer.send("reading\nDONE 7\n"));
  REQUIRE(outcome.wait());
  CHECK(outcome.wait()->kind == Kind::accepted);
  CHECK(peer.receive_line() == "ACK");
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"reading"});
}

TEST_CASE("commands to one TCP device go one after the other", "[C-02]") {
  Awaited<Outcome> first;
  Awaited<Outcome> second;
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  deliver(rig, first, 1);
  deliver(rig, second, 2);
  CHECK(peer.receive_line() == "CMD 1 open");
  CHECK(peer.receive(1, 50ms).empty());
  REQUIRE(peer.send("DONE 1\n"));
  CHECK(peer.receive_line() == "CMD 2 open");
  REQUIRE(peer.send("DONE 2\n"));
  CHECK(second.wait()->kind == Kind::accepted);
  CHECK(first.wait()->kind == Kind::accepted);
}

TEST_CASE("a TCP command is released without a connection, with a lost one, and at its deadline", "[C-01]") {
  Awaited<Outcome> away;
  Awaited<Outcome> lost;
  Awaited<Outcome> late;
  TcpRig rig({tcp_map("scale-2")});
  deliver(rig, away, 1);
  CHECK(away.wait()->kind == Kind::released);
  {
    auto peer = rig.connect("scale-2");
    deliver(rig, lost, 2);
    CHECK(peer.receive_line() == "CMD 2 open");
  }
  CHECK(lost.wait()->kind == Kind::released);
  REQUIRE(rig.ingress.wait_presence(tcp_id("scale-2"), Presence::away));
  auto peer = rig.connect("scale-2");
  deliver(rig, late, 3, "open", 100ms);
  CHECK(peer.receive_line() == "CMD 3 open");
  CHECK(late.wait()->kind == Kind::released);
  REQUIRE(peer.send("DONE 3\n"));
  CHECK(eventually([&] { return rig.metric("tcp_stray_replies_total") == 1; }));
  CHECK(rig.ingress.count() == 0);
}

TEST_CASE("a TCP command that counts as done when written is accepted then", "[C-01]") {
  auto map = tcp_map("scale-2");
  map.command_done = CommandDone::written;
  map.tcp->command = TcpCommand{"{payload}\r\n", {}};
  Awaited<Outcome> outcome;
  TcpRig rig({map});
  auto peer = rig.connect("scale-2");
  deliver(rig, outcome, 1);
  CHECK(outcome.wait()->kind == Kind::accepted);
  CHECK(peer.receive_line() == "open\r");
}

TEST_CASE("a peer that does not read gets its commands released, and memory stays bounded", "[I-01]") {
  auto map = tcp_map("scale-2");
  map.command_done = CommandDone::written;
  std::vector<std::unique_ptr<Awaited<Outcome>>> outcomes;
  TcpRig rig({map});
  auto peer = rig.connect("scale-2");
  // Enough to fill both kernel buffers and our queue: what was written is accepted, then one comes back.
  bool released = false;
  for (std::uint64_t i = 1; i < 400 && !released; ++i) {
    outcomes.push_back(std::make_unique<Awaited<Outcome>>());
    deliver(rig, *outcomes.back(), i, std::string(60'000, 'x'), 300ms);
    const auto outcome = outcomes.back()->wait();
    REQUIRE(outcome);
    released = outcome->kind == Kind::released;
  }
  CHECK(released);
}

TEST_CASE("a command for a device that is not there is released, one without a command mapped is rejected", "[C-01]") {
  auto map = tcp_map("scale-2");
  map.tcp->command.reset();
  Awaited<Outcome> unmapped;
  Awaited<Outcome> unknown;
  TcpRig rig({map});
  auto peer = rig.connect("scale-2");
  deliver(rig, unmapped, 1);
  CHECK(unmapped.wait()->kind == Kind::rejected);
  rig.adapter.deliver(make_command("nobody", 1, "x", rig.clock.steady() + 30s), unknown.completion());
  // A reload may take a device away or bring it while its command is on the way.
  CHECK(unknown.wait()->kind == Kind::released);
}

TEST_CASE("stop releases the commands that are out", "[C-01]") {
  Awaited<Outcome> out;
  Awaited<Outcome> after;
  TcpRig rig({tcp_map("scale-2")});
  auto peer = rig.connect("scale-2");
  deliver(rig, out, 1);
  CHECK(peer.receive_line() == "CMD 1 open");
  rig.stop();
  CHECK(out.wait()->kind == Kind::released);
  deliver(rig, after, 2);
  CHECK(after.wait()->kind == Kind::released);
}
