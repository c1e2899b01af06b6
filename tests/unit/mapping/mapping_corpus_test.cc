// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/mapping/decode_case.h"
#include "tests/fuzz/mapping/mapping_case.h"
#include "tests/support/catch.h"

using namespace trunkline;

TEST_CASE("every kept input of the mapping fuzzer is still fine") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(MAPPING_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    INFO(entry.path().filename().string());
    CHECK(test::matcher_agrees(bytes));
    CHECK(test::shaper_survives(bytes));
    ++count;
  }
  CHECK(count > 0);
}

namespace {

std::size_t count_fine(const std::string& folder, bool (*fine)(std::string_view)) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    INFO(entry.path().filename().string());
    CHECK(fine(bytes));
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("every kept input of the decoding and the pattern fuzzer is still fine") {
  CHECK(count_fine(std::string(MAPPING_CORPUS) + "_decode", test::decode_survives) > 0);
  CHECK(count_fine(std::string(MAPPING_CORPUS) + "_pattern", test::pattern_survives) > 0);
}

TEST_CASE("random patterns and topics agree with trying each pattern alone") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const std::vector<std::string> parts{"a", "b", "c", "{x}", "{y+}", "+", "#", ""};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto levels = 1 + random() % 4; levels > 0; --levels)
      text += parts[random() % parts.size()] + (levels > 1 ? "/" : "");
    text += '\n';
    for (auto levels = 1 + random() % 5; levels > 0; --levels) text += parts[random() % 3] + (levels > 1 ? "/" : "");
    INFO(text);
    REQUIRE(test::matcher_agrees(text));
  }
}
