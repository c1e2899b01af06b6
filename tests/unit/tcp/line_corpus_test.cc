// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/tcp/line_case.h"
#include "tests/support/catch.h"

using namespace trunkline;

TEST_CASE("every kept input of the line fuzzer still agrees with the reference") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LINE_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    INFO(entry.path().filename().string());
    CHECK(test::codec_agrees(bytes));
    ++count;
  }
  CHECK(count > 0);
}
