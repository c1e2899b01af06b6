// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>
#include <vector>

#include "tests/component/coap/coap_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {

constexpr unsigned kLocationQuery = 20;

void deliver(CoapRig& rig, Awaited<Outcome>& outcome, std::uint64_t sequence, std::string body = "open",
             std::chrono::milliseconds patience = 30s) {
  auto command = make_command("tank-3", sequence, std::move(body), rig.clock.steady() + patience);
  command.content_type = "application/json";
  rig.adapter.deliver(std::move(command), outcome.completion());
}

CoapMessage result(std::uint16_t id, const std::string& command) {
  return post("/tank/done", id, {}).option(15, "id=" + command);
}

}  // namespace

TEST_CASE("a CoAP command is notified to the observer and accepted when the device posts its result", "[C-01]") {
  Awaited<Outcome> outcome;
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  const auto empty = observe(peer, "/tank/cmd", 1, "obs");
  CHECK(empty.payload.empty());
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  deliver(rig, outcome, 7);
  const auto notification = peer.receive();
  REQUIRE(notification);
  CHECK(notification->type == CoapMessage::con);
  CHECK(notification->code == 205);
  CHECK(notification->token == "obs");
  CHECK(notification->payload == "open");
  CHECK(notification->find(kLocationQuery) == "id=7");
  CHECK(notification->find_uint(12) == 50U);
  CHECK(notification->find_uint(6) > empty.find_uint(6));
  peer.acknowledge(*notification);
  CHECK_FALSE(outcome.answered());

  peer.send(result(2, "8"));
  CHECK(peer.receive()->code == 404);
  CHECK_FALSE(outcome.answered());
  peer.send(result(3, "7"));
  CHECK(peer.receive()->code == 204);
  CHECK(outcome.wait()->kind == Kind::accepted);
  peer.send(result(4, "7"));  // its 2.04 was lost: no error
  CHECK(peer.receive()->code == 204);
}

TEST_CASE("commands to one CoAP device are shown one after the other", "[C-02]") {
  Awaited<Outcome> first;
  Awaited<Outcome> second;
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  deliver(rig, first, 1, "one");
  deliver(rig, second, 2, "two");
  const auto one = peer.receive();
  REQUIRE(one);
  CHECK(one->payload == "one");
  peer.acknowledge(*one);
  CHECK_FALSE(peer.receive(50ms));
  peer.send(get("/tank/cmd", 5));  // a plain GET shows the one that waits
  CHECK(peer.receive()->payload == "one");
  peer.send(result(2, "1"));
  std::vector<CoapMessage> answers = {peer.receive().value(), peer.receive().value()};
  std::sort(answers.begin(), answers.end(), [](const auto& a, const auto& b) { return a.code < b.code; });
  CHECK(answers[0].code == 204);
  CHECK(answers[1].payload == "two");
  peer.acknowledge(answers[1]);
  peer.send(result(3, "2"));
  CHECK(peer.receive()->code == 204);
  CHECK(second.wait()->kind == Kind::accepted);
}

TEST_CASE("without an observer a CoAP command is released, and so it is when the observer ends or resets", "[C-01]") {
  Awaited<Outcome> nobody;
  Awaited<Outcome> reset;
  Awaited<Outcome> ended;
  CoapRig rig({coap_map("tank-3", "/tank")});
  deliver(rig, nobody, 1);
  CHECK(nobody.wait()->kind == Kind::released);

  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  deliver(rig, reset, 2);
  const auto notification = peer.receive();
  REQUIRE(notification);
  peer.send({CoapMessage::rst, 0, notification->id, {}, {}, {}});
  CHECK(reset.wait()->kind == Kind::released);
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));

  observe(peer, "/tank/cmd", 2, "obs");
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  deliver(rig, ended, 3);
  const auto second = peer.receive();
  REQUIRE(second);
  peer.acknowledge(*second);
  auto cancel = get("/tank/cmd", 3);
  cancel.token = "obs";
  peer.send(cancel.option(6, std::string(1, 1)));
  CHECK(peer.receive()->code == 205);
  CHECK(ended.wait()->kind == Kind::released);
  CHECK(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));
}

TEST_CASE("a CoAP command is released at its deadline and no longer shown", "[C-01]") {
  Awaited<Outcome> outcome;
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  deliver(rig, outcome, 1, "open", 200ms);
  const auto notification = peer.receive();
  REQUIRE(notification);
  peer.acknowledge(*notification);
  CHECK(outcome.wait()->kind == Kind::released);
  peer.send(get("/tank/cmd", 2));
  CHECK(peer.receive()->payload.empty());
  peer.send(result(3, "1"));
  CHECK(peer.receive()->code == 404);
}

TEST_CASE("a device that observes again sees the command that waits", "[C-01]") {
  Awaited<Outcome> outcome;
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  deliver(rig, outcome, 9);
  const auto notification = peer.receive();
  REQUIRE(notification);
  peer.acknowledge(*notification);
  CoapPeer restarted(rig.adapter.listening());
  const auto shown = observe(restarted, "/tank/cmd", 1, "new");
  CHECK(shown.payload == "open");
  CHECK(shown.find(kLocationQuery) == "id=9");
}

TEST_CASE("only the device itself is notified where several share a path", "[I-02]") {
  auto one = coap_map("tank-3", "/tank");
  auto two = coap_map("tank-4", "/tank");
  one.coap->address = "127.0.0.21";
  two.coap->address = "127.0.0.22";
  Awaited<Outcome> outcome;
  CoapRig rig({one, two});
  CoapPeer first(rig.adapter.listening(), "127.0.0.21");
  CoapPeer second(rig.adapter.listening(), "127.0.0.22");
  observe(first, "/tank/cmd", 1, "a");
  observe(second, "/tank/cmd", 1, "b");
  deliver(rig, outcome, 1);
  const auto notification = first.receive();
  REQUIRE(notification);
  first.acknowledge(*notification);
  CHECK_FALSE(second.receive(50ms));
  second.send(result(2, "1"));
  CHECK(second.receive()->code == 404);
  CHECK_FALSE(outcome.answered());
}

TEST_CASE("a CoAP command that counts as done when written is accepted then", "[C-01]") {
  auto map = coap_map("tank-3", "/tank");
  map.command_done = CommandDone::written;
  map.coap->result.reset();
  Awaited<Outcome> outcome;
  CoapRig rig({map});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  deliver(rig, outcome, 1);
  CHECK(outcome.wait()->kind == Kind::accepted);
  const auto notification = peer.receive();
  REQUIRE(notification);
  peer.acknowledge(*notification);
}

TEST_CASE("a silent device is away after three times expect_every though it observes", "[C-02]") {
  auto map = coap_map("tank-3", "/tank");
  map.expect_every = 200ms;
  CoapRig rig({map});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));
  peer.send(post("/tank/t", 2, "here"));
  CHECK(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
}

TEST_CASE("a command that is too large, or has no place to go, is rejected", "[C-01]") {
  auto silent = coap_map("tank-5", "/five");
  silent.coap->command.reset();
  silent.coap->result.reset();
  Awaited<Outcome> large;
  Awaited<Outcome> unmapped;
  Awaited<Outcome> unknown;
  CoapRig rig({coap_map("tank-3", "/tank"), silent});
  deliver(rig, large, 1, std::string(64 * 1024 + 1, 'x'));
  CHECK(large.wait()->kind == Kind::rejected);
  rig.adapter.deliver(make_command("tank-5", 1, "x", rig.clock.steady() + 30s), unmapped.completion());
  CHECK(unmapped.wait()->kind == Kind::rejected);
  rig.adapter.deliver(make_command("nobody", 1, "x", rig.clock.steady() + 30s), unknown.completion());
  // A reload may take a device away or bring it while its command is on the way.
  CHECK(unknown.wait()->kind == Kind::released);
}

TEST_CASE("observers of one device are bounded, the newest stay", "[I-01]") {
  Awaited<Outcome> outcome;
  CoapRig rig({coap_map("tank-3", "/tank")});
  std::vector<std::unique_ptr<CoapPeer>> peers;
  for (int i = 0; i < 20; ++i) {
    peers.push_back(std::make_unique<CoapPeer>(rig.adapter.listening()));
    observe(*peers.back(), "/tank/cmd", 1, "obs");
  }
  CHECK(rig.metric("coap_observers") == 4);
  deliver(rig, outcome, 1);
  CHECK(peers.back()->receive());
  CHECK_FALSE(peers.front()->receive(50ms));
}

TEST_CASE("stop releases the CoAP commands that are out", "[C-01]") {
  Awaited<Outcome> out;
  Awaited<Outcome> after;
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  deliver(rig, out, 1);
  const auto notification = peer.receive();
  REQUIRE(notification);
  peer.acknowledge(*notification);
  rig.stop();
  CHECK(out.wait()->kind == Kind::released);
  deliver(rig, after, 2);
  CHECK(after.wait()->kind == Kind::released);
}

TEST_CASE("an observer of a device that is silent for ten times expect_every is dropped and counted", "[C-02]") {
  auto map = coap_map("tank-3", "/tank");
  map.expect_every = 50ms;
  CoapRig rig({map});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  CHECK(rig.metric("coap_observers") == 1);
  CHECK(eventually([&] { return rig.metric("coap_observers") == 0; }));
  CHECK(rig.metric("coap_observers_lost_total") == 1);
}
