// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/sasl.h"

#include "gateway/base/encoding.h"
#include "tests/hubsim/amqp_value.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::string_literals;
using State = SaslServer::State;

namespace {

const auto kBare = "AMQP\x00\x01\x00\x00"s;
const auto kSasl = "AMQP\x03\x01\x00\x00"s;

std::string frame(std::uint8_t code, std::uint32_t count, const std::string& fields) {
  std::string body;
  wire::put_descriptor(body, code);
  wire::put_list(body, count, fields);
  std::string out;
  const auto size = body.size() + 8;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift & 0xFF));
  return out + "\x02\x01\x00\x00"s + body;
}

std::string init(const std::string& mechanism) {
  std::string fields;
  wire::put_symbol(fields, mechanism);
  return frame(0x41, 1, fields);
}

std::string init(const std::string& mechanism, const std::string& response) {
  std::string fields;
  wire::put_symbol(fields, mechanism);
  wire::put_binary(fields, response);
  return frame(0x41, 2, fields);
}

SaslServer server() {
  return SaslServer([](std::string_view user, std::string_view password) { return user == "u" && password == "p"; });
}

// Outcome ok with "Welcome!", outcome auth.
const auto kWelcome = "\x50\x00\xA0\x08Welcome!"s;
const auto kAuth = "\x50\x01"s;

}  // namespace

TEST_CASE("a bare AMQP header is accepted and handed on with what follows") {
  auto sasl = server();
  std::string out;
  CHECK(sasl.feed(kBare.substr(0, 3), out) == State::waiting);
  CHECK(sasl.feed(kBare.substr(3) + "open", out) == State::accepted);
  CHECK(out.empty());
  CHECK(sasl.take_rest() == kBare + "open");
  CHECK(sasl.mechanism().empty());
}

TEST_CASE("the live hub's mechanisms are offered in its order") {
  auto sasl = server();
  std::string out;
  CHECK(sasl.feed(kSasl, out) == State::waiting);
  CHECK(out.starts_with(kSasl));
  std::size_t last = 0;
  for (const auto* name : {"EXTERNAL", "MSSBCBS", "ANONYMOUS", "PLAIN"}) {
    const auto at = out.find(name);
    REQUIRE(at != out.npos);
    CHECK(at > last);
    last = at;
  }
}

TEST_CASE("anonymous and MSSBCBS are welcome, byte by byte too") {
  for (const auto* mechanism : {"ANONYMOUS", "MSSBCBS"}) {
    auto sasl = server();
    std::string out;
    const auto input = kSasl + init(mechanism) + kBare;
    auto state = State::waiting;
    for (std::size_t i = 0; i + kBare.size() < input.size(); ++i) state = sasl.feed(input.substr(i, 1), out);
    CHECK(state == State::accepted);
    CHECK(out.ends_with(kWelcome));
    CHECK(sasl.mechanism() == mechanism);
  }
}

TEST_CASE("what a client sends ahead stays for the layer above") {
  auto sasl = server();
  std::string out;
  CHECK(sasl.feed(kSasl + init("ANONYMOUS", "x") + kBare + "more", out) == State::accepted);
  CHECK(sasl.take_rest() == kBare + "more");
}

TEST_CASE("plain is judged by its owner, with and without a challenge") {
  const auto plain = [](const std::string& response, bool challenged) {
    auto sasl = server();
    std::string out;
    if (!challenged) return std::pair(sasl.feed(kSasl + init("PLAIN", response), out), out);
    CHECK(sasl.feed(kSasl + init("PLAIN"), out) == State::waiting);
    std::string fields;
    wire::put_binary(fields, response);
    return std::pair(sasl.feed(frame(0x43, 1, fields), out), out);
  };
  for (const bool challenged : {false, true}) {
    const auto good = plain("\0u\0p"s, challenged);
    CHECK(good.first == State::accepted);
    CHECK(good.second.ends_with(kWelcome));
    for (const auto& response : {"\0u\0q"s, "u\0p"s, ""s, "\0u"s}) {
      const auto bad = plain(response, challenged);
      CHECK(bad.first == State::refused);
      CHECK(bad.second.ends_with(kAuth));
    }
  }
}

TEST_CASE("external and unknown mechanisms get outcome auth") {
  for (const auto* mechanism : {"EXTERNAL", "SCRAM-SHA-1", ""}) {
    auto sasl = server();
    std::string out;
    CHECK(sasl.feed(kSasl + init(mechanism), out) == State::refused);
    CHECK(out.ends_with(kAuth));
  }
}

TEST_CASE("an unknown protocol header is answered with ours and refused") {
  auto sasl = server();
  std::string out;
  CHECK(sasl.feed("GET / HTTP/1.1\r\n", out) == State::refused);
  CHECK(out == kSasl);
}

TEST_CASE("oversized, misframed and unexpected frames are refused") {
  const auto judge = [](const std::string& bytes) {
    auto sasl = server();
    std::string out;
    return sasl.feed(kSasl + bytes, out);
  };
  CHECK(judge("\x7F\xFF\xFF\xFF\x02\x01\x00\x00"s) == State::refused);
  CHECK(judge("\x00\x00\x00\x04\x02\x01\x00\x00"s) == State::refused);
  CHECK(judge("\x00\x00\x00\x10\x01\x01\x00\x00"s) == State::refused);
  CHECK(judge("\x00\x00\x00\x08\x02\x00\x00\x00"s) == State::refused);
  CHECK(judge("\x00\x00\x00\x08\x02\x01\x00\x00"s) == State::refused);
  CHECK(judge(frame(0x44, 1, "\x50\x00"s)) == State::refused);
  CHECK(judge(frame(0x41, 1, "\x50\x00"s)) == State::refused);
}

TEST_CASE("nothing is taken after the verdict") {
  auto sasl = server();
  std::string out;
  CHECK(sasl.feed("nonsense", out) == State::refused);
  out.clear();
  CHECK(sasl.feed(kBare, out) == State::refused);
  CHECK(out.empty());
}
