// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>

#include "tests/component/coap/coap_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;
using Kind = Outcome::Kind;

namespace {

constexpr unsigned kContentFormat = 12, kQuery = 15, kLocationQuery = 20, kBlock2 = 23, kBlock1 = 27, kSize1 = 60;

DeviceMap piggyback_map() {
  auto map = coap_map("tank-3", "/tank");
  map.coap->command.reset();
  map.coap->piggyback = true;
  return map;
}

void deliver(CoapRig& rig, Awaited<Outcome>& outcome, std::uint64_t sequence, std::string body = "open") {
  rig.adapter.deliver(make_command("tank-3", sequence, std::move(body), rig.clock.steady() + 30s),
                      outcome.completion());
}

// The next message with a code, acknowledged if it wants to be.
CoapMessage next(CoapPeer& peer) {
  for (;;) {
    auto message = peer.receive();
    REQUIRE(message);
    if (message->type == CoapMessage::con) peer.acknowledge(*message);
    if (message->code != 0) return *message;
  }
}

std::string option_bytes(unsigned value) {
  std::string out;
  for (; value != 0; value >>= 8) out.insert(out.begin(), static_cast<char>(value & 0xff));
  return out;
}

CoapMessage block(std::uint16_t id, unsigned number, bool more, std::string payload) {
  auto out = post("/tank/t", id, std::move(payload));
  out.option(kBlock1, option_bytes(number << 4 | (more ? 8U : 0U) | 6U));
  return out;
}

std::string large_body(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i * 7 / 5 % 26);
  return out;
}

void take_all(CoapRig& rig) {
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
}

// A device with a CoAP server of its own.
class OwnServer {
 public:
  OwnServer() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;
  ~OwnServer() { ::close(fd_); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  CoapMessage receive() {
    pollfd wait{fd_, POLLIN, 0};
    REQUIRE(::poll(&wait, 1, 20'000) == 1);
    char bytes[2048];
    socklen_t size = sizeof from_;
    const auto count = ::recvfrom(fd_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from_), &size);
    const auto message = CoapMessage::decode({bytes, static_cast<std::size_t>(count)});
    REQUIRE(message);
    return *message;
  }
  void answer(const CoapMessage& request, unsigned code, std::vector<CoapMessage::Option> options = {},
              std::string payload = {}) {
    const auto bytes =
        CoapMessage{CoapMessage::ack, code, request.id, request.token, std::move(options), std::move(payload)}.encode();
    ::sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&from_), sizeof from_);
  }

 private:
  int fd_;
  std::uint16_t port_ = 0;
  sockaddr_in from_{};
};

DeviceMap push_map(const OwnServer& server) {
  auto map = coap_map("tank-3", "/tank");
  map.coap->command.reset();
  map.coap->result.reset();
  map.coap->push = CoapPush{"127.0.0.1", server.port(), "/do/it"};
  map.command_done = CommandDone::acknowledged;
  return map;
}

}  // namespace

TEST_CASE("a body of 64 KiB comes up in blocks and is one message", "[D-01]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  take_all(rig);
  CoapPeer peer(rig.adapter.listening());
  const auto body = large_body(64 * 1024);
  for (unsigned i = 0; i < 64; ++i) {
    const auto part = block(static_cast<std::uint16_t>(i + 1), i, i < 63, body.substr(i * 1024UL, 1024));
    peer.send(part);
    const auto answer = next(peer);
    CHECK(answer.code == (i < 63 ? 231U : 204U));
    CHECK(answer.find_uint(kBlock1) == (i << 4 | (i < 63 ? 8U : 0U) | 6U));
    if (i == 5) {  // its answer was lost: the block is not taken twice
      peer.send(part);
      CHECK(next(peer).code == 231);
    }
  }
  REQUIRE(rig.ingress.count() == 1);
  CHECK(rig.ingress.received()[0].body == body);
  CHECK(rig.metric("coap_body_bytes") == 0);
}

TEST_CASE("too large a body is refused with the limit, at once when it says so itself", "[D-06]") {
  auto settings = CoapRig::plain();
  settings.max_body = 2048;
  CoapRig rig({coap_map("tank-3", "/tank")}, settings);
  take_all(rig);
  CoapPeer peer(rig.adapter.listening());
  peer.send(block(1, 0, true, large_body(1024)).option(kSize1, option_bytes(1U << 30)));
  const auto claimed = next(peer);
  CHECK(claimed.code == 413);
  CHECK(claimed.find_uint(kSize1) == 2048U);
  CHECK(rig.metric("coap_body_bytes") == 0);
  for (unsigned i = 0; i < 3; ++i) {
    peer.send(block(static_cast<std::uint16_t>(i + 2), i, true, large_body(1024)));
    CHECK(next(peer).code == (i < 2 ? 231U : 413U));
  }
  peer.send(block(9, 3, false, "end"));
  CHECK(next(peer).code == 408);
  CHECK(rig.ingress.count() == 0);
}

TEST_CASE("a command of 64 KiB is fetched in blocks by its observer", "[C-01]") {
  Awaited<Outcome> outcome;
  CoapRig rig({coap_map("tank-3", "/tank")});
  CoapPeer peer(rig.adapter.listening());
  observe(peer, "/tank/cmd", 1, "obs");
  const auto body = large_body(64 * 1024);
  deliver(rig, outcome, 7, body);
  const auto notification = next(peer);
  CHECK(notification.find_uint(kBlock2).value_or(0) == (8U | 6U));
  const auto etag = notification.find(4);
  auto fetched = notification.payload;
  for (unsigned i = 1; i < 64; ++i) {
    peer.send(get("/tank/cmd", static_cast<std::uint16_t>(i + 1)).option(kBlock2, option_bytes(i << 4 | 6U)));
    const auto part = next(peer);
    CHECK(part.code == 205);
    CHECK(part.find(4) == etag);
    CHECK((part.find_uint(kBlock2).value_or(0) & 8U) == (i < 63 ? 8U : 0U));
    fetched += part.payload;
  }
  CHECK(fetched == body);
  peer.send(get("/tank/cmd", 100).option(kBlock2, option_bytes(64 << 4 | 6U)));
  CHECK(next(peer).code == 400);
  peer.send(post("/tank/done", 101, {}).option(kQuery, "id=7"));
  CHECK(next(peer).code == 204);
  CHECK(outcome.wait()->kind == Kind::accepted);
}

TEST_CASE("a command rides on the answer to telemetry and is done when the device says so", "[C-01][C-02]") {
  Awaited<Outcome> outcome;
  CoapRig rig({piggyback_map()});
  take_all(rig);
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "21.5"));
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  deliver(rig, outcome, 7);
  const auto answer = next(peer);
  CHECK(answer.code == 204);
  CHECK(answer.payload == "open");
  CHECK(answer.find(kLocationQuery) == "id=7");
  CHECK(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));
  CHECK_FALSE(outcome.answered());

  peer.send(post("/tank/t", 2, "21.6"));  // not done yet: it comes again
  CHECK(next(peer).payload == "open");
  peer.send(post("/tank/done", 3, {}).option(kQuery, "id=7"));
  CHECK(next(peer).code == 204);
  CHECK(outcome.wait()->kind == Kind::accepted);

  peer.send(post("/tank/t", 4, "21.7"));  // nothing waits: a plain 2.04 after command_wait
  const auto plain = next(peer);
  CHECK(plain.code == 204);
  CHECK(plain.payload.empty());
  CHECK(rig.ingress.count() == 3);
}

TEST_CASE("a command that comes after the answer waits for the device's next request", "[C-01]") {
  Awaited<Outcome> outcome;
  auto settings = CoapRig::plain();
  settings.command_wait = 0ms;
  CoapRig rig({piggyback_map()}, settings);
  take_all(rig);
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "x"));
  CHECK(next(peer).payload.empty());
  const auto body = large_body(3000);
  deliver(rig, outcome, 8, body);
  peer.send(post("/tank/t", 2, "y"));
  const auto answer = next(peer);
  CHECK(answer.find_uint(kBlock2) == (8U | 6U));
  auto fetched = answer.payload;
  for (unsigned i = 1; i < 3; ++i) {
    peer.send(post("/tank/t", static_cast<std::uint16_t>(i + 2), {}).option(kBlock2, option_bytes(i << 4 | 6U)));
    fetched += next(peer).payload;
  }
  CHECK(fetched == body);
  CHECK(rig.ingress.count() == 2);
  rig.stop();
  CHECK(outcome.wait()->kind == Kind::released);
}

TEST_CASE("a command is pushed to the device's own server, whose 2.xx says that it is done", "[C-01]") {
  Awaited<Outcome> done;
  Awaited<Outcome> refused;
  Awaited<Outcome> later;
  OwnServer server;
  CoapRig rig({push_map(server)});
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  deliver(rig, done, 7);
  deliver(rig, refused, 8);
  deliver(rig, later, 9);
  auto request = server.receive();
  CHECK(request.type == CoapMessage::con);
  CHECK(request.code == 2);
  CHECK(request.payload == "open");
  CHECK(request.find(11) == "do");
  CHECK(request.find(kQuery) == "id=7");
  CHECK_FALSE(done.answered());
  server.answer(request, 204);
  CHECK(done.wait()->kind == Kind::accepted);
  request = server.receive();
  CHECK(request.find(kQuery) == "id=8");
  server.answer(request, 404);
  CHECK(refused.wait()->kind == Kind::rejected);
  server.answer(server.receive(), 503);
  CHECK(later.wait()->kind == Kind::released);
}

TEST_CASE("a long command is pushed in blocks, as small as the device's server wants them", "[C-01]") {
  Awaited<Outcome> outcome;
  OwnServer server;
  CoapRig rig({push_map(server)});
  const auto body = large_body(5000);
  deliver(rig, outcome, 7, body);
  const auto first = server.receive();
  CHECK(first.find_uint(kBlock1) == (8U | 6U));
  CHECK(first.find_uint(kSize1) == 5000U);
  auto pushed = first.payload;
  server.answer(first, 231, {{kBlock1, option_bytes(8U | 4U)}});  // 256 bytes each, please
  server.answer(first, 231, {{kBlock1, option_bytes(8U | 4U)}});  // said twice: no harm
  while (pushed.size() < body.size()) {
    const auto request = server.receive();
    const auto option = request.find_uint(kBlock1).value_or(0);
    CHECK(request.token == first.token);
    CHECK((option & 7U) == 4U);
    CHECK((option >> 4) * 256UL == pushed.size());
    pushed += request.payload;
    CHECK(((option & 8U) != 0) == (pushed.size() < body.size()));
    server.answer(request, pushed.size() < body.size() ? 231 : 204, {{kBlock1, option_bytes(option)}});
  }
  CHECK(pushed == body);
  CHECK(outcome.wait()->kind == Kind::accepted);
}

TEST_CASE("a method's answer comes back in blocks and is one answer", "[C-01]") {
  OwnServer server;
  auto map = push_map(server);
  map.coap->method = "/call";
  CoapRig rig({map});
  const auto call = [&rig](Awaited<Outcome>& outcome) {
    auto command = make_command("tank-3", 9, "[1]", rig.clock.steady() + 20s);
    command.kind = CommandKind::method;
    command.name = "history";
    rig.adapter.deliver(std::move(command), outcome.completion());
  };
  Awaited<Outcome> outcome;
  call(outcome);
  const auto body = "\"" + large_body(3000) + "\"";
  const auto part = [&body](unsigned number) { return body.substr(number * 256UL, 256); };
  const auto last = static_cast<unsigned>(body.size() / 256);
  const auto first = server.receive();
  CHECK(first.payload == "[1]");
  server.answer(first, 205, {{kBlock2, option_bytes(8U | 4U)}}, part(0));
  SECTION("every part is asked for once, by the same call without its body") {
    for (unsigned i = 1; i <= last; ++i) {
      const auto request = server.receive();
      CHECK(request.find(11) == "call");
      CHECK(request.find(15) == first.find(15));
      CHECK(request.payload.empty());
      CHECK(request.find_uint(kBlock2) == (i << 4 | 4U));
      server.answer(request, 205, {{kBlock2, option_bytes(i << 4 | (i < last ? 8U : 0U) | 4U)}}, part(i));
    }
    REQUIRE(outcome.wait()->response);
    CHECK(outcome.wait()->response->status == 200);
    CHECK(outcome.wait()->response->payload == body);
  }
  SECTION("one with a hole is 502") {
    const auto request = server.receive();
    server.answer(request, 205, {{kBlock2, option_bytes(5 << 4 | 4U)}}, part(5));
    REQUIRE(outcome.wait()->response);
    CHECK(outcome.wait()->response->status == 502);
  }
}

TEST_CASE("in queue mode a device asks for its commands by a plain GET", "[C-01][C-02]") {
  auto map = coap_map("tank-3", "/tank");
  map.keeps_commands = true;
  const auto done = GENERATE(CommandDone::replied, CommandDone::written);
  map.command_done = done;
  auto settings = CoapRig::plain();
  settings.command_wait = 5'000ms;
  CoapRig rig({map}, settings);
  CoapPeer peer(rig.adapter.listening());
  const auto poll = get("/tank/cmd", 1);
  peer.send(poll);
  // It can be reached until it has its answer, and asking twice is asking once.
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
  CHECK(peer.receive()->code == 0);  // the acknowledgement; the answer comes later
  peer.send(poll);
  CHECK(peer.receive()->code == 0);
  Awaited<Outcome> first;
  deliver(rig, first, 7);
  const auto answer = next(peer);
  CHECK(answer.code == 205);
  CHECK(answer.payload == "open");
  CHECK(answer.find(kLocationQuery) == "id=7");
  peer.acknowledge(answer);
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));
  if (done == CommandDone::replied) {
    CHECK_FALSE(first.answered());
    peer.send(get("/tank/cmd", 2));  // it did not do it yet, or lost the answer
    CHECK(next(peer).find(kLocationQuery) == "id=7");
    peer.send(post("/tank/done", 3, {}).option(kQuery, "id=7"));
    CHECK(next(peer).code == 204);
  }
  CHECK(first.wait()->kind == Kind::accepted);

  // One that comes while nobody asks waits for the next request.
  Awaited<Outcome> second;
  deliver(rig, second, 8);
  peer.send(get("/tank/cmd", 4));
  CHECK(next(peer).find(kLocationQuery) == "id=8");
  if (done == CommandDone::replied) {
    peer.send(post("/tank/done", 5, {}).option(kQuery, "id=8"));
    CHECK(next(peer).code == 204);
  }
  CHECK(second.wait()->kind == Kind::accepted);
}

TEST_CASE("a device whose server is gone is away until it is heard again", "[C-02]") {
  Awaited<Outcome> outcome;
  Awaited<Outcome> meanwhile;
  std::optional<OwnServer> server(std::in_place);
  CoapRig rig({push_map(*server)});
  take_all(rig);
  server.reset();
  deliver(rig, outcome, 7);
  CHECK(outcome.wait()->kind == Kind::released);
  REQUIRE(rig.ingress.wait_presence(coap_id("tank-3"), Presence::away));
  deliver(rig, meanwhile, 8);
  CHECK(meanwhile.wait()->kind == Kind::released);
  CoapPeer peer(rig.adapter.listening());
  peer.send(post("/tank/t", 1, "here again"));
  CHECK(rig.ingress.wait_presence(coap_id("tank-3"), Presence::reachable));
}

TEST_CASE("a peer that asks too fast gets 4.29, and the others are served", "[I-01]") {
  auto settings = CoapRig::plain();
  settings.peer_rate = 5;
  CoapRig rig({coap_map("tank-3", "/tank")}, settings);
  CoapPeer flood(rig.adapter.listening());
  unsigned refused = 0;
  for (std::uint16_t i = 1; i <= 30; ++i) {
    flood.send(get("/tank/cmd", i));
    const auto answer = next(flood);
    if (answer.code == 429) {
      ++refused;
      CHECK(answer.find_uint(14) == 1U);
    }
  }
  CHECK(refused >= 10);
  CoapPeer other(rig.adapter.listening());
  other.send(get("/tank/cmd", 1));
  CHECK(next(other).code == 205);
}

TEST_CASE("what a device says carries a key by which a repeat is known", "[D-03]") {
  CoapRig rig({coap_map("tank-3", "/tank")});
  take_all(rig);
  CoapPeer peer(rig.adapter.listening());
  for (const auto* format : {"", "\x32", "\x3c", "\x6e", "\x70", "\x2a"}) {
    auto request = post("/tank/t", static_cast<std::uint16_t>(100 + rig.ingress.count()), "v");
    request.option(kContentFormat, format);
    peer.send(request);
    CHECK(next(peer).code == 204);
  }
  const auto received = rig.ingress.received();
  REQUIRE(received.size() == 6);
  CHECK(received[0].content_type == "text/plain");
  CHECK(received[1].content_type == "application/json");
  CHECK(received[2].content_type == "application/cbor");
  CHECK(received[3].content_type == "application/senml+json");
  CHECK(received[4].content_type == "application/senml+cbor");
  CHECK(received[5].content_type == "application/octet-stream");
  for (const auto& one : received) CHECK_FALSE(one.source_key.empty());
  CHECK(received[0].source_key != received[1].source_key);
}
