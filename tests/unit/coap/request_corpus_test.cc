// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/coap/request_case.h"
#include "tests/support/catch.h"

using namespace trunkline;

TEST_CASE("every kept input of the request fuzzer still holds, whole and cut anywhere") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(REQUEST_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    INFO(entry.path().filename().string());
    for (std::size_t size = 0; size <= bytes.size(); ++size) REQUIRE(test::request_holds(bytes.substr(0, size)));
    ++count;
  }
  CHECK(count > 0);
}
