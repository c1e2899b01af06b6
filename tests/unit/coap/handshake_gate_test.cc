// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/handshake_gate.h"

#include <string>

#include "tests/fuzz/coap/hello_case.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::coap;
using namespace std::chrono_literals;
using Kind = HandshakeGate::Verdict::Kind;

namespace {

std::string bytes(std::size_t value, int count) {
  std::string out;
  for (int i = count - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

// A first message by hand (RFC 6347 sections 4.1 and 4.2.2).
std::string hello(char attempt, const std::string& cookie = {}) {
  std::string body = "\xfe\xfd" + std::string(32, attempt);
  body += bytes(0, 1) + bytes(cookie.size(), 1) + cookie + bytes(2, 2) + "\xc0\xa8" + bytes(1, 1) + bytes(0, 1);
  const auto message = "\x01" + bytes(body.size(), 3) + bytes(1, 2) + bytes(0, 3) + bytes(body.size(), 3) + body;
  return "\x16\xfe\xff" + bytes(0, 2) + bytes(7, 6) + bytes(message.size(), 2) + message;
}

Peer peer(unsigned host, std::uint16_t port = 1) {
  Peer out;
  out.address[15] = static_cast<std::uint8_t>(host);
  out.port = port;
  return out;
}

struct Rig {
  explicit Rig(std::size_t most) : gate(most, "secret") {}
  HandshakeGate gate;
  SteadyTime now{1000s};

  std::string cookie(const Peer& from, char attempt) {
    const auto verdict = gate.on_datagram(from, hello(attempt), now);
    REQUIRE(verdict.kind == Kind::verify);
    REQUIRE(verdict.answer.size() == 60);
    return verdict.answer.substr(28);
  }
  HandshakeGate::Verdict begin(const Peer& from, char attempt) {
    return gate.on_datagram(from, hello(attempt, cookie(from, attempt)), now);
  }
  // A session by name that began so.
  void open(HandshakeGate::Session session, const Peer& from, char attempt) {
    REQUIRE(begin(from, attempt).kind == Kind::pass);
    gate.on_session(session, from, now);
  }
};

int names[100];

}  // namespace

TEST_CASE("a handshake begins with the cookie of its peer and attempt, for a minute or two", "[I-01]") {
  Rig rig(10);
  const auto cookie = rig.cookie(peer(1), 'a');
  CHECK(rig.gate.on_datagram(peer(1), hello('a', cookie), rig.now).kind == Kind::pass);
  CHECK(rig.gate.passed(cookie));
  CHECK(rig.gate.on_datagram(peer(2), hello('a', cookie), rig.now).kind == Kind::verify);
  CHECK_FALSE(rig.gate.passed(cookie));
  CHECK(rig.gate.on_datagram(peer(1, 2), hello('a', cookie), rig.now).kind == Kind::verify);
  CHECK(rig.gate.on_datagram(peer(1), hello('b', cookie), rig.now).kind == Kind::verify);
  CHECK(rig.gate.on_datagram(peer(1), hello('a', cookie), rig.now + 60s).kind == Kind::pass);
  CHECK(rig.gate.on_datagram(peer(1), hello('a', cookie), rig.now + 120s).kind == Kind::verify);
}

TEST_CASE("the answer is a HelloVerifyRequest that repeats the record's number") {
  Rig rig(10);
  const auto answer = rig.gate.on_datagram(peer(1), hello('a'), rig.now).answer;
  CHECK(answer.substr(0, 13) == "\x16\xfe\xff" + bytes(0, 2) + bytes(7, 6) + bytes(47, 2));
  CHECK(answer.substr(13, 12) == "\x03" + bytes(35, 3) + bytes(0, 2) + bytes(0, 3) + bytes(35, 3));
  CHECK(answer.substr(25, 3) == "\xfe\xff\x20");
}

TEST_CASE("what is cut or contradicts itself is no first message") {
  Rig rig(10);
  const auto whole = hello('a', std::string(32, 'c'));
  REQUIRE(ClientHello::parse(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(ClientHello::parse(whole.substr(0, size)));
  for (const std::size_t at : {0U, 1U, 4U, 11U, 12U, 13U, 16U, 20U, 24U, 25U, 59U}) {
    auto odd = whole;
    odd[at] = static_cast<char>(odd[at] ^ 0x41);
    CHECK_FALSE(ClientHello::parse(odd));
    if (ClientHello::begins(odd)) CHECK(rig.gate.on_datagram(peer(1), odd, rig.now).kind == Kind::drop);
  }
}

TEST_CASE("a peer that begins anew ends its older session, one that repeats itself does not", "[I-01]") {
  Rig rig(10);
  rig.open(&names[0], peer(1), 'a');
  CHECK(rig.begin(peer(1), 'a').end == nullptr);
  rig.gate.on_connected(&names[0], 16);
  CHECK(rig.gate.handshakes() == 0);
  CHECK(rig.begin(peer(1), 'b').end == &names[0]);
  CHECK(rig.begin(peer(1, 2), 'b').end == nullptr);
  rig.gate.on_gone(&names[0]);
  CHECK(rig.begin(peer(1), 'c').end == nullptr);
}

TEST_CASE("one address has half of the unfinished handshakes, and the oldest of who has most makes room", "[I-01]") {
  Rig rig(4);
  rig.open(&names[0], peer(1, 1), 'a');
  rig.open(&names[1], peer(1, 2), 'a');
  CHECK(rig.begin(peer(1, 3), 'a').kind == Kind::drop);
  rig.open(&names[2], peer(2), 'a');
  rig.open(&names[3], peer(3), 'a');
  CHECK(rig.gate.handshakes() == 4);
  CHECK(rig.begin(peer(4), 'a').kind == Kind::drop);  // they are young
  rig.now += HandshakeGate::kPatience;
  const auto verdict = rig.begin(peer(4), 'a');
  CHECK(verdict.kind == Kind::pass);
  CHECK(verdict.end == &names[0]);
  rig.gate.on_gone(&names[0]);
  rig.gate.on_session(&names[4], peer(4), rig.now);
  rig.gate.on_connected(&names[2], 16);
  CHECK(rig.begin(peer(5), 'a').end == nullptr);
  for (auto& name : names) rig.gate.on_gone(&name);
  CHECK(rig.gate.handshakes() == 0);
}

TEST_CASE("a record that is too short for its check value does not reach a session, nor what belongs to none",
          "[I-01]") {
  Rig rig(10);
  const auto record = [](std::size_t epoch, std::size_t length) {
    return "\x17\xfe\xfd" + bytes(epoch, 2) + bytes(1, 6) + bytes(length, 2) + std::string(length, 'x');
  };
  CHECK(rig.gate.on_datagram(peer(1), record(1, 40), rig.now).kind == Kind::drop);
  rig.open(&names[0], peer(1), 'a');
  CHECK(rig.gate.on_datagram(peer(1), record(0, 2), rig.now).kind == Kind::pass);
  CHECK(rig.gate.on_datagram(peer(1), record(1, 16), rig.now).kind == Kind::pass);
  rig.gate.on_connected(&names[0], 24);
  CHECK(rig.gate.on_datagram(peer(1), record(1, 24), rig.now).kind == Kind::pass);
  CHECK(rig.gate.on_datagram(peer(1), record(1, 23), rig.now).kind == Kind::drop);
  CHECK(rig.gate.on_datagram(peer(1), record(1, 24) + record(2, 0), rig.now).kind == Kind::drop);
  CHECK(rig.gate.on_datagram(peer(1), record(1, 24) + record(1, 24).substr(0, 12), rig.now).kind == Kind::pass);
}

TEST_CASE("first messages, whole and cut and changed anywhere, are judged within their bytes") {
  for (const auto& whole : {hello('a'), hello('b', std::string(32, 'c'))}) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      CHECK(test::hello_holds(whole.substr(0, i)));
      for (const char change : {'\x01', '\x80', '\xff'}) {
        auto changed = whole;
        changed[i] = static_cast<char>(changed[i] ^ change);
        CHECK(test::hello_holds(changed));
      }
    }
  }
}
