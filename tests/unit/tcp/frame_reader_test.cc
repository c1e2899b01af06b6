// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/frame_reader.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/line_reference.h"

using namespace trunkline;
using test::feed;
using test::split;

TEST_CASE("a stream gives the same lines wherever it is cut", "[D-01]") {
  struct Case {
    std::string end;
    std::size_t max;
    std::string text;
  };
  const std::vector<Case> cases = {
      {"\n", 8, "one\ntwo\n\nfour\nover-long line\nnext\ntail"},
      {"\r\n", 8, "one\r\ntwo\rhalf\r\n\r\n\r\r\n12345678\r\n123456789\r\nx\r\n\r"},
      {"aab", 4, "aaab1aab12345aabaaaabaaaaaabaab"},
      {"\n\n", 3, "a\n\n\nb\n\ncccc\n\nd\n\n"},
      {std::string("\0", 1), 2, std::string("a\0bb\0ccc\0\0d\0", 13)},
  };
  for (const auto& c : cases) {
    const Framing framing{c.end, c.max};
    const auto expected = split(framing, c.text);
    for (std::size_t first = 0; first <= c.text.size(); ++first) {
      for (std::size_t second = first; second <= c.text.size(); ++second) {
        tcp::FrameReader codec(framing);
        test::Lines lines;
        feed(codec, std::string_view(c.text).substr(0, first), lines);
        feed(codec, std::string_view(c.text).substr(first, second - first), lines);
        feed(codec, std::string_view(c.text).substr(second), lines);
        lines.overlong = codec.counts().overlong;
        INFO("cut at " << first << " and " << second << " of " << c.text);
        REQUIRE(lines.lines == expected.lines);
        REQUIRE(lines.overlong == expected.overlong);
      }
    }
  }
}

TEST_CASE("random streams in random pieces agree with a plain split") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    const Framing framing{round % 2 == 0 ? "\n" : "\r\n", 1 + random() % 2000};
    std::string text;
    const auto count = random() % 60;
    for (std::size_t i = 0; i < count; ++i) {
      text += std::string(random() % 3000, static_cast<char>('a' + random() % 3));
      text += random() % 8 == 0 ? "\r" : framing.end;
    }
    tcp::FrameReader codec(framing);
    test::Lines lines;
    for (std::size_t at = 0; at < text.size();) {
      const auto length = std::min<std::size_t>(1 + random() % 5000, text.size() - at);
      feed(codec, std::string_view(text).substr(at, length), lines);
      at += length;
    }
    lines.overlong = codec.counts().overlong;
    const auto expected = split(framing, text);
    REQUIRE(lines.lines == expected.lines);
    REQUIRE(lines.overlong == expected.overlong);
  }
}

TEST_CASE("an idle connection holds a small buffer, a busy one a large one") {
  const Framing framing{"\n", 64 * 1024};
  tcp::FrameReader codec(framing);
  CHECK(codec.space().size() == tcp::FrameReader::kSmall);
  std::size_t offered = 0;
  for (int i = 0; i < 16; ++i) {
    const auto space = codec.space();
    offered = space.size();
    std::memset(space.data(), '\n', space.size());
    codec.commit(space.size());
    while (codec.next()) {
    }
  }
  CHECK(offered == tcp::FrameReader::kLarge);
  for (int i = 0; i < 16 * 16; ++i) {
    codec.space()[0] = '\n';
    codec.commit(1);
    REQUIRE(codec.next());
    REQUIRE_FALSE(codec.next());
  }
  CHECK(codec.space().size() < 4 * tcp::FrameReader::kSmall);
}

TEST_CASE("a line without an end never takes more memory than its limit and one read", "[I-01]") {
  const Framing framing{"\r\n", 10'000};
  tcp::FrameReader codec(framing);
  for (int i = 0; i < 2000; ++i) {
    const auto space = codec.space();
    REQUIRE(space.size() <= framing.max_length + tcp::FrameReader::kLarge);
    REQUIRE_FALSE(space.empty());
    std::memset(space.data(), 'x', space.size());
    codec.commit(space.size());
    REQUIRE_FALSE(codec.next());
  }
  CHECK(codec.counts().overlong == 1);
  CHECK(codec.partial());
  test::Lines lines;
  feed(codec, "rest\r\nfine\r\n", lines);
  CHECK(lines.lines == std::vector<std::string>{"fine"});
  CHECK(codec.counts().overlong == 1);
  CHECK_FALSE(codec.partial());
}

TEST_CASE("reading may pause in the middle of what has come") {
  const Framing framing{"\n", 100};
  tcp::FrameReader codec(framing);
  const std::string text = "a\nb\nc\nd";
  auto space = codec.space();
  std::copy(text.begin(), text.end(), space.begin());
  codec.commit(text.size());
  CHECK(codec.next()->body == "a");
  CHECK(codec.next()->body == "b");
  CHECK(codec.partial());
  CHECK(codec.next()->body == "c");
  CHECK_FALSE(codec.next());
  test::Lines lines;
  feed(codec, "\n", lines);
  CHECK(lines.lines == std::vector<std::string>{"d"});
}
