// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/command_lane.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/frame_corpus.h"
#include "tests/support/make_command.h"

using namespace trunkline;
using namespace std::chrono_literals;
using tcp::CommandLane;
using Kind = Outcome::Kind;

namespace {

const SteadyTime kStart{1'000s};

DeviceMap map(std::optional<std::string> reply, CommandDone done = CommandDone::replied) {
  DeviceMap out{.id = *DeviceId::parse("scale-2")};
  out.command_done = done;
  out.tcp = TcpMap{"127.0.0.1:0", {"\n", 1024}, {}, TcpCommand{"CMD {id} {payload}\n", std::move(reply)}};
  return out;
}

CommandLane connected(std::optional<std::string> reply, CommandDone done = CommandDone::replied) {
  auto lane = CommandLane::make(map(std::move(reply), done));
  REQUIRE(lane);
  lane->on_connected(kStart);
  return std::move(*lane);
}

struct Sent {
  // Shared, because a lane that dies with the command answers it then.
  std::shared_ptr<std::optional<Outcome>> answer = std::make_shared<std::optional<Outcome>>();

  void add(CommandLane& lane, std::uint64_t sequence, std::string body = "x", SteadyTime deadline = kStart + 45s) {
    lane.add(test::make_command("scale-2", sequence, std::move(body), deadline),
             Completion<Outcome>([to = answer](Outcome value) { *to = std::move(value); }), kStart, {});
  }
  [[nodiscard]] bool is(Kind kind) const { return *answer && (*answer)->kind == kind; }
  [[nodiscard]] bool open() const { return !*answer; }
};

}  // namespace

TEST_CASE("a command is accepted when its own reply came", "[C-01]") {
  auto lane = connected("OK {id} {payload}");
  Sent sent;
  sent.add(lane, 7, "open");
  CHECK(lane.next(kStart) == "CMD 7 open\n");
  lane.on_written(7);
  CHECK(sent.open());
  CHECK_FALSE(lane.on_line("temperature 7", kStart));
  CHECK(lane.on_line("OK 6 done", kStart));
  CHECK(sent.open());
  CHECK(lane.stray_replies() == 1);
  CHECK(lane.on_line("OK 7 done", kStart));
  CHECK(sent.is(Kind::accepted));
}

TEST_CASE("one command is on the wire at a time", "[C-02]") {
  auto lane = connected("OK {id}");
  Sent first;
  Sent second;
  first.add(lane, 1);
  second.add(lane, 2);
  CHECK(lane.next(kStart));
  CHECK_FALSE(lane.next(kStart));
  CHECK(lane.on_line("OK 1", kStart));
  CHECK(lane.next(kStart) == "CMD 2 x\n");
}

TEST_CASE("with command_done written the write is the event, and only that command's", "[C-01]") {
  auto lane = connected({}, CommandDone::written);
  Sent first;
  Sent second;
  first.add(lane, 1, "x", kStart + 1s);
  second.add(lane, 2);
  CHECK(lane.next(kStart));
  lane.tick(kStart + 1s);
  CHECK(first.is(Kind::released));
  CHECK(lane.next(kStart + 1s));
  lane.on_written(1);
  CHECK(second.open());
  lane.on_written(2);
  CHECK(second.is(Kind::accepted));
}

TEST_CASE("without a connection a command is released at once, and with the connection all that wait", "[C-01]") {
  auto lane = CommandLane::make(map("OK {id}"));
  REQUIRE(lane);
  Sent away;
  away.add(*lane, 1);
  CHECK(away.is(Kind::released));
  lane->on_connected(kStart);
  Sent first;
  Sent second;
  first.add(*lane, 2);
  second.add(*lane, 3);
  CHECK(lane->next(kStart));
  lane->on_disconnected("gone");
  CHECK(first.is(Kind::released));
  CHECK(second.is(Kind::released));
}

TEST_CASE("a command is released at its deadline and its late reply is swallowed", "[C-01]") {
  auto lane = connected("OK {id}");
  Sent first;
  Sent waiting;
  first.add(lane, 1, "x", kStart + 10s);
  waiting.add(lane, 2, "x", kStart + 5s);
  CHECK(lane.next(kStart));
  CHECK(lane.deadline() == kStart + 5s);
  lane.tick(kStart + 5s);
  CHECK(waiting.is(Kind::released));
  CHECK(first.open());
  CHECK(lane.deadline() == kStart + 10s);
  lane.tick(kStart + 10s);
  CHECK(first.is(Kind::released));
  CHECK(lane.on_line("OK 1", kStart));
  CHECK(lane.stray_replies() == 1);
  CHECK(lane.deadline() == kNever);
}

TEST_CASE("a late reply without an id is not taken for the next command's", "[C-01]") {
  auto lane = connected("DONE");
  Sent first;
  Sent second;
  first.add(lane, 1, "x", kStart + 10s);
  CHECK(lane.next(kStart));
  lane.tick(kStart + 10s);
  CHECK(first.is(Kind::released));
  second.add(lane, 2);
  CHECK_FALSE(lane.next(kStart + 10s));
  CHECK(lane.due() == kStart + 10s + CommandLane::kLateReply);

  SECTION("it comes: the next command goes then") {
    CHECK(lane.on_line("DONE", kStart));
    CHECK(second.open());
    CHECK(lane.next(kStart + 11s));
    CHECK(lane.on_line("DONE", kStart));
    CHECK(second.is(Kind::accepted));
  }
  SECTION("it never comes: the next command goes after a while") {
    CHECK(lane.next(kStart + 10s + CommandLane::kLateReply));
    CHECK(lane.on_line("DONE", kStart));
    CHECK(second.is(Kind::accepted));
  }
}

TEST_CASE("a body that holds the line end is rejected, because the device would read two commands", "[I-02]") {
  auto lane = connected("OK {id}");
  Sent sent;
  sent.add(lane, 1, "open\nCMD 9 erase");
  CHECK(sent.is(Kind::rejected));
  CHECK_FALSE(lane.next(kStart));
}

TEST_CASE("a reply that names another device is telemetry") {
  auto lane = connected("{device} OK {id}");
  Sent sent;
  sent.add(lane, 1);
  CHECK(lane.next(kStart));
  CHECK_FALSE(lane.on_line("scale-3 OK 1", kStart));
  CHECK(lane.on_line("scale-2 OK 1", kStart));
  CHECK(sent.is(Kind::accepted));
}

TEST_CASE("the number of commands that wait is bounded") {
  auto lane = connected("OK {id}");
  std::vector<Sent> sent(CommandLane::kWaiting + 1);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i].add(lane, i + 1);
  CHECK(sent.back().is(Kind::released));
  CHECK(sent.front().open());
  lane.on_disconnected("end");
}

TEST_CASE("a map that cannot say when a command is done is refused", "[C-01]") {
  CHECK_FALSE(CommandLane::make(map({})));
  CHECK_FALSE(CommandLane::make(map({}, CommandDone::acknowledged)));
  CHECK(CommandLane::make(map("OK", CommandDone::acknowledged)));
  CHECK(CommandLane::make(map({}, CommandDone::written)));
  CHECK_FALSE(CommandLane::make(map("OK {nonsense}")));
}

namespace {

// What a device reads: its own framing, fed with what was sent.
std::vector<std::string> read_by(const Framing& framing, std::string_view wire) {
  test::FrameFeeder feeder(framing);
  feeder.feed(wire);
  if (framing.kind == FramingKind::idle) feeder.silence();
  return feeder.messages;
}

CommandLane framed(Framing framing, std::string send) {
  auto of = map("OK {id}");
  of.tcp->framing = std::move(framing);
  of.tcp->command->send = std::move(send);
  auto lane = CommandLane::make(of);
  REQUIRE(lane);
  lane->on_connected(kStart);
  return std::move(*lane);
}

}  // namespace

TEST_CASE("a command may be any text where a line ends with CR, LF or both, but never two lines", "[I-02]") {
  auto lane = framed({.end = ""}, "SET {payload}");
  Sent good;
  good.add(lane, 1, "open");
  CHECK(lane.next(kStart) == "SET open\r\n");
  for (const auto* body : {"open\rerase", "open\nerase", "open\r\nerase"}) {
    Sent bad;
    bad.add(lane, 2, body);
    CHECK(bad.is(Kind::rejected));
  }
}

TEST_CASE("ends that the operator wrote are his, also beside a body that would complete one", "[I-02]") {
  auto lane = framed({.end = "\r\n"}, "LOGIN\r\nSET {payload}\nGO");
  Sent good;
  good.add(lane, 1, "open");
  CHECK(lane.next(kStart) == "LOGIN\r\nSET open\nGO\r\n");
  Sent bad;
  bad.add(lane, 2, "open\r");
  CHECK(bad.is(Kind::rejected));
}

TEST_CASE("a command goes down by the codec of its device, and that reads the same message", "[C-01]") {
  using Of = FramingKind;
  const std::string nasty("\xC0\xDB\x10\x02\x03\0 end\r\n", 12);
  const std::vector<Framing> encoding{
      {.kind = Of::slip},
      {.kind = Of::cobs},
      {.kind = Of::octets},
      {.kind = Of::length, .check = FrameCheck::crc16, .magic = "\xAA", .offset = 1},
      {.kind = Of::length, .width = 1, .adjust = -1},
      {.kind = Of::length, .width = 4, .little_endian = true},
      {.end = "\x03", .kind = Of::marks, .start = "\x02", .stuffed = true, .check = FrameCheck::bcc},
      {.end = "\x03",
       .kind = Of::marks,
       .start = "\x02",
       .stuffed = true,
       .check = FrameCheck::sum,
       .check_inside = true},
  };
  for (const auto& framing : encoding) {
    auto lane = framed(framing, "{payload}");
    Sent sent;
    sent.add(lane, 1, nasty);
    const auto wire = lane.next(kStart);
    INFO(static_cast<int>(framing.kind));
    REQUIRE(wire);
    CHECK(read_by(framing, *wire) == std::vector<std::string>{nasty});
  }
}

TEST_CASE("kinds whose message is the whole frame get their counts and checks right", "[C-01]") {
  using Of = FramingKind;
  const auto sends = [](Framing framing, std::string send) {
    auto lane = framed(std::move(framing), std::move(send));
    Sent sent;
    sent.add(lane, 1, "x");
    const auto wire = lane.next(kStart);
    return wire ? *wire : "refused: " + (*sent.answer)->description;
  };
  CHECK(sends({.kind = Of::nmea}, "$PMTK,{payload}") == "$PMTK,x*56\r\n");
  CHECK(sends({.kind = Of::modbus_tcp}, {"\0\1\0\0\0\0\1\6\0\1\0\3", 12}) ==
        std::string("\0\1\0\0\0\6\1\6\0\1\0\3", 12));
  CHECK(sends({.kind = Of::modbus_rtu}, {"\x11\3\0\x6B\0\3", 6}) == std::string("\x11\3\0\x6B\0\3\x76\x87", 8));
  CHECK(sends({.kind = Of::modbus_ascii}, ":1103006B0003") == ":1103006B00037E\r\n");
  CHECK(sends({.kind = Of::mbus}, "\x40\x01") == "\x10\x40\x01\x41\x16");
  CHECK(sends({.kind = Of::mbus}, "\x53\x01\x51") == "\x68\x03\x03\x68\x53\x01\x51\xA5\x16");
  CHECK(sends({.kind = Of::length, .keep = true, .width = 1}, {"\0ab", 3}) ==
        "\x02"
        "ab");
  CHECK(sends({.kind = Of::json}, "{{\"do\":{payload}1}}") == "{\"do\":x1}");
  CHECK(sends({.kind = Of::fixed, .check = FrameCheck::sum, .size = 3}, "a{payload}") == "ax\xD9");
  CHECK(sends({.kind = Of::idle}, "{payload}\x03") == "x\x03");
}

TEST_CASE("a body that would be two frames is rejected whatever the framing", "[I-02]") {
  using Of = FramingKind;
  const auto rejected = [](Framing framing, std::string send, std::string body) {
    auto lane = framed(std::move(framing), std::move(send));
    Sent sent;
    sent.add(lane, 1, std::move(body));
    return sent.is(Outcome::Kind::rejected) && !lane.next(kStart);
  };
  CHECK(rejected({.kind = Of::json}, "{{\"a\":{payload}}}", "1} {\"b\":2"));
  CHECK(rejected({.kind = Of::nmea}, "$PMTK,{payload}", "1*53\r\n$PMTK,9"));
  CHECK(rejected({.end = "\x03", .kind = Of::marks, .start = "\x02"}, "{payload}",
                 "a\x03\x02"
                 "b"));
  CHECK(rejected({.kind = Of::fixed, .size = 4}, "{payload}", "12345678"));
  CHECK(rejected({.kind = Of::length, .width = 1}, "{payload}", std::string(300, 'x')));
  CHECK(rejected({.end = std::string(1, '\0'), .kind = Of::end}, "{payload}", std::string("a\0b", 3)));
}

TEST_CASE("check values of a template cover what stands in front of them", "[C-01]") {
  auto lane = framed({.kind = FramingKind::idle}, "\x02{from}A{payload}\x03{bcc}|{sum_hex}");
  Sent sent;
  sent.add(lane, 1, "B");
  const std::string until = std::string("AB\x03") + static_cast<char>('A' ^ 'B' ^ 3) + "|";
  unsigned sum = 0;
  for (const char c : until) sum += static_cast<unsigned char>(c);
  char hex[3];
  std::snprintf(hex, sizeof hex, "%02X", sum & 0xFF);
  CHECK(lane.next(kStart) == "\x02" + until + hex);
}

TEST_CASE("a command without an answer is sent again as often as its map says, then released", "[C-01]") {
  auto of = map("DONE");
  of.tcp->command->timeout = 2s;
  of.tcp->command->retries = 1;
  auto lane = CommandLane::make(of);
  REQUIRE(lane);
  lane->on_connected(kStart);
  Sent sent;
  sent.add(*lane, 1);
  CHECK(lane->next(kStart));
  CHECK(lane->waits());
  CHECK(lane->deadline() == kStart + 2s);
  lane->tick(kStart + 2s);
  CHECK(lane->due() <= kStart + 2s);
  CHECK(lane->next(kStart + 2s) == "CMD 1 x\n");
  SECTION("answered then; the other sending may be answered too, which is nobody else's reply") {
    Sent next;
    next.add(*lane, 2);
    CHECK(lane->on_line("DONE", kStart + 3s));
    CHECK(sent.is(Kind::accepted));
    CHECK_FALSE(lane->next(kStart + 3s));
    CHECK(lane->on_line("DONE", kStart + 4s));
    CHECK(next.open());
    CHECK(lane->next(kStart + 4s));
  }
  SECTION("never answered") {
    lane->tick(kStart + 4s);
    CHECK(sent.is(Kind::released));
    CHECK_FALSE(lane->waits());
  }
}

TEST_CASE("a command that is too old is never sent, neither late nor again", "[C-01]") {
  auto of = map("DONE");
  of.tcp->command->timeout = 10s;
  of.tcp->command->retries = 3;
  of.tcp->command->expire = 5s;
  auto lane = CommandLane::make(of);
  REQUIRE(lane);
  lane->on_connected(kStart);
  const WallTime wall{1'700'000'000s};
  const auto add = [&](Sent& sent, std::uint64_t sequence, Milliseconds age) {
    auto command = test::make_command("scale-2", sequence, "open", kStart + 45s);
    command.enqueued = wall - age;
    lane->add(std::move(command), Completion<Outcome>([to = sent.answer](Outcome o) { *to = std::move(o); }), kStart,
              wall);
  };
  Sent stale, first, second;
  add(stale, 1, 6s);
  CHECK(stale.is(Kind::rejected));
  add(first, 2, 1s);
  add(second, 3, 1s);
  CHECK(lane->next(kStart));
  lane->tick(kStart + 10s);
  CHECK_FALSE(lane->next(kStart + 10s));
  CHECK(first.is(Kind::rejected));
  CHECK(second.is(Kind::rejected));
}

TEST_CASE("polls go out on their schedule, one at a time, and commands go first", "[C-02]") {
  auto of = map("DONE {id}");
  of.tcp->polls = {{"A?\n", 10s, 1s}, {"B?\n", 60s, 1s}};
  auto lane = CommandLane::make(of);
  REQUIRE(lane);
  CHECK_FALSE(lane->next(kStart));
  lane->on_connected(kStart);
  CHECK(lane->next(kStart) == "A?\n");
  CHECK_FALSE(lane->next(kStart));
  Sent sent;
  sent.add(*lane, 1);
  lane->on_telemetry();
  CHECK(lane->next(kStart) == "CMD 1 x\n");
  CHECK(lane->on_line("DONE 1", kStart));
  CHECK(lane->next(kStart) == "B?\n");
  CHECK(lane->deadline() == kStart + 1s);
  lane->tick(kStart + 1s);
  CHECK(lane->unanswered_polls() == 1);
  CHECK_FALSE(lane->next(kStart + 1s));
  CHECK(lane->due() == kStart + 10s);
  CHECK(lane->next(kStart + 10s) == "A?\n");
}
