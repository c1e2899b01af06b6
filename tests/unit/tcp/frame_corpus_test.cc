// SPDX-License-Identifier: Apache-2.0
#include "tests/support/frame_corpus.h"

#include <set>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

constexpr std::size_t kWhole = 1'000'000;

// The same messages whole, byte by byte, in threes, and cut at every offset (or at every third).
void check_everywhere(const FrameFile& file, const std::vector<Burst>& bursts, const std::vector<std::string>& expected,
                      std::size_t stride = 1) {
  std::size_t total = 0;
  for (const auto& burst : bursts) total += burst.bytes.size();
  REQUIRE(messages_of(file.framing, bursts, kWhole) == expected);
  REQUIRE(messages_of(file.framing, bursts, 1) == expected);
  REQUIRE(messages_of(file.framing, bursts, 3) == expected);
  for (std::size_t cut = 1; cut < total; cut += stride) {
    INFO("cut at " << cut);
    REQUIRE(messages_of(file.framing, bursts, kWhole, cut) == expected);
  }
}

std::vector<Burst> frames_of(const FrameFile& file) {
  std::vector<Burst> out;
  for (const auto& frame : file.frames) out.push_back({frame, file.delivered});
  return out;
}

// Each of `others` in front of the first frame and then before each one.
void check_between(const FrameFile& file, const std::vector<std::string>& others) {
  for (const auto& other : others) {
    INFO("with " << Catch::Detail::stringify(other));
    std::vector<Burst> bursts;
    for (const auto& frame : file.frames) {
      bursts.push_back({other, file.silence});
      bursts.push_back({frame, file.delivered});
    }
    check_everywhere(file, bursts, file.messages, 3);
  }
}

}  // namespace

TEST_CASE("every framing kind finds its frames glued, byte by byte and cut at every offset", "[D-01]") {
  std::set<FramingKind> kinds;
  for (const auto& file : read_frame_corpus(FRAME_CORPUS)) {
    INFO(file.name);
    kinds.insert(file.framing.kind);
    check_everywhere(file, frames_of(file), file.messages);
  }
  CHECK(kinds.size() == static_cast<std::size_t>(FramingKind::octets) + 1);
}

TEST_CASE("every framing kind passes over noise before and between its frames", "[I-01]") {
  for (const auto& file : read_frame_corpus(FRAME_CORPUS)) {
    INFO(file.name);
    check_between(file, file.garbage);
  }
}

TEST_CASE("after a damaged frame every framing kind finds the next good one", "[R-01]") {
  for (const auto& file : read_frame_corpus(FRAME_CORPUS)) {
    INFO(file.name);
    REQUIRE_FALSE(file.damaged.empty());
    check_between(file, file.damaged);
  }
}

TEST_CASE("a frame that breaks off anywhere is ended by silence, and the next one is whole", "[R-01]") {
  for (const auto& file : read_frame_corpus(FRAME_CORPUS)) {
    if (file.delivered) continue;
    for (const auto& frame : file.frames) {
      for (std::size_t size = 1; size < frame.size(); ++size) {
        INFO(file.name << ": " << size << " bytes of " << Catch::Detail::stringify(frame));
        const auto part = frame.substr(0, size);
        auto expected = messages_of(file.framing, {{part, false}}, kWhole);  // "one\r" of "one\r\n"
        REQUIRE(expected.size() <= 1);
        expected.insert(expected.end(), file.messages.begin(), file.messages.end());
        std::vector<Burst> bursts{{part, true}};
        for (const auto& whole : frames_of(file)) bursts.push_back(whole);
        REQUIRE(messages_of(file.framing, bursts, kWhole) == expected);
        REQUIRE(messages_of(file.framing, bursts, 1) == expected);
      }
    }
  }
}

TEST_CASE("a stream of one byte for ever keeps every framing kind within its memory", "[I-01]") {
  for (const auto& file : read_frame_corpus(FRAME_CORPUS)) {
    for (const char byte : {'\x02', '1'}) {
      INFO(file.name << " " << static_cast<int>(byte));
      tcp::FrameReader reader(file.framing);
      std::size_t most = 0;
      for (std::size_t fed = 0; fed < 160 * 1024;) {
        const auto space = reader.space();
        REQUIRE_FALSE(space.empty());
        std::fill(space.begin(), space.end(), byte);
        reader.commit(space.size());
        fed += space.size();
        most = std::max(most, space.size());
        while (reader.next()) {
        }
      }
      CHECK(most <= 2 * tcp::FrameReader::kLarge);
    }
  }
}
