// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <string>

#include "tests/fuzz/tcp/framing_case.h"
#include "tests/support/catch.h"

using namespace trunkline;

TEST_CASE("whatever comes, every framing gives the same messages wherever the stream is cut") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto corpus = test::read_frame_corpus(FRAME_CORPUS);
  // Bytes that mean something to a codec, and pieces of real frames, damaged now and then.
  static constexpr char kBytes[] =
      "\x02\x03\x10\x16\x68\xE5\xAA\x55\xC0\xDB\xDC\xDD$!*\\:{}[]\"<U \r\n,0123AFabc\x01\x05\xFF";
  const std::string alphabet(kBytes, sizeof kBytes);  // NUL too
  for (std::size_t kind = 0; kind < test::fuzzed_framings().size(); ++kind) {
    for (int round = 0; round < 150; ++round) {
      std::string input{static_cast<char>(kind), static_cast<char>(random() % 9), static_cast<char>(random() % 3)};
      for (auto parts = random() % 8; parts > 0; --parts) {
        if (random() % 3 == 0) {
          const auto& file = corpus[random() % corpus.size()];
          auto frame = file.frames[random() % file.frames.size()];
          if (random() % 3 == 0) frame[random() % frame.size()] = static_cast<char>(random());
          if (random() % 4 == 0) frame.resize(random() % frame.size());
          input += frame;
        } else {
          for (auto count = random() % 40; count > 0; --count) input += alphabet[random() % alphabet.size()];
        }
      }
      INFO("framing " << kind << ": " << Catch::Detail::stringify(input));
      REQUIRE(test::framing_agrees(input));
    }
  }
}

TEST_CASE("what the framing fuzzer once found gives the same messages wherever the stream is cut") {
  // An over-long JSON document that breaks off where the next one begins.
  CHECK(test::framing_agrees("\x0b\x03 {" + std::string(65, '\xff') + ":{{}"));
  // A length with a zero in front of it, of which only the zero has come.
  CHECK(test::framing_agrees(std::string("\x17\x00\x00", 3) + "021 <165>1 - - - - - 7 <3"));
}
