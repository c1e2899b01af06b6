// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "adapters/tcp/framing/checks.h"
#include "tests/support/catch.h"
#include "tests/support/frame_corpus.h"

using namespace trunkline;
using test::FrameFeeder;
using Strings = std::vector<std::string>;

TEST_CASE("check values are those of the standards' examples") {
  CHECK(tcp::crc16("123456789") == 0x4B37);                    // the check value of CRC-16/MODBUS
  CHECK(tcp::crc16(std::string("\x02\x07\x41\x12", 4)) == 0);  // Modbus over serial line V1.02, section 6.2.2
  CHECK(tcp::xor_of("GPGLL,5300.97914,N,00259.98174,E,125926,A") == 0x28);
  CHECK(tcp::check_value(FrameCheck::lrc, true, "\x01\x03") == "FC");
  CHECK(tcp::check_matches(FrameCheck::crc16, true, "123456789", "374b"));
  CHECK_FALSE(tcp::check_matches(FrameCheck::crc16, true, "123456789", "374"));
}

TEST_CASE("a frame with a wrong check is dropped, flagged or passed, and counted in each case") {
  Framing framing{.end = "\x03", .kind = FramingKind::marks, .start = "\x02", .check = FrameCheck::bcc};
  const std::string stream = std::string("\x02") + "A\x03" + "!" + "\x02" + "B\x03" + "A";
  const auto run = [&](CheckPolicy policy) {
    framing.policy = policy;
    FrameFeeder feeder(framing);
    feeder.feed(stream);
    CHECK(feeder.reader().counts().check_failed == 1);
    return std::pair(feeder.messages, feeder.flagged);
  };
  CHECK(run(CheckPolicy::drop) == std::pair(Strings{"B"}, std::size_t{0}));
  CHECK(run(CheckPolicy::flag) == std::pair(Strings{"A", "B"}, std::size_t{1}));
  CHECK(run(CheckPolicy::pass) == std::pair(Strings{"A", "B"}, std::size_t{0}));
}

TEST_CASE("each way of losing a frame has its own count") {
  const Framing framing{.max_length = 16, .kind = FramingKind::nmea};
  FrameFeeder feeder(framing);
  feeder.feed("noise\n$A*00\r\n$B$C\r\n$0123456789012345678\r\n$D");
  feeder.silence();
  const auto& counts = feeder.reader().counts();
  CHECK(feeder.messages == Strings{"$C"});
  CHECK(counts.check_failed == 1);
  CHECK(counts.malformed == 1);
  CHECK(counts.overlong == 1);
  CHECK(counts.timeouts == 1);
  CHECK(counts.noise_bytes > 0);
}

TEST_CASE("silence ends the loss of place of a length field without a pattern", "[R-01]") {
  const Framing framing{.max_length = 64, .kind = FramingKind::length, .timeout = Milliseconds(10), .keep = false};
  FrameFeeder feeder(framing);
  feeder.feed(std::string("\x00\x02hi\xFF\xFF??", 8));
  CHECK(feeder.messages == Strings{"hi"});
  CHECK(feeder.reader().partial());
  feeder.feed(std::string("\x00\x02no", 4));
  feeder.silence();
  CHECK_FALSE(feeder.reader().partial());
  feeder.feed(std::string("\x00\x03yes", 5));
  CHECK(feeder.messages == Strings{"hi", "yes"});
}

TEST_CASE("frames that only look like frames cannot make the reader slow", "[I-01]") {
  // Each of these bytes begins a frame that fails at its far end, so a naive search would look at 64 KiB for every one.
  const Framing framing{.end = "\x03", .kind = FramingKind::marks, .start = "\x02", .check = FrameCheck::bcc};
  FrameFeeder feeder(framing);
  const std::string hostile = std::string(60'000, '\x02') + "\x03" + "x";
  for (int i = 0; i < 20; ++i) feeder.feed(hostile);
  CHECK(feeder.reader().counts().check_failed < 20 * (tcp::FrameReader::kRescan + 20));
  feeder.feed(std::string(70'000, '\x03') + "\x02" + "B\x03" + "A");
  CHECK(feeder.messages == Strings{"B"});
}

TEST_CASE("a damaged length swallows what follows only until silence", "[R-01]") {
  const Framing framing{.kind = FramingKind::length, .magic = "U", .offset = 1, .width = 1};
  FrameFeeder feeder(framing);
  feeder.feed(
      "U\x7Fok"
      "U\x02"
      "hi"
      "U\x03"
      "yes");
  CHECK(feeder.messages.empty());
  feeder.silence();
  CHECK(feeder.messages == Strings{"hi", "yes"});
  CHECK(feeder.reader().counts().timeouts == 1);
}
