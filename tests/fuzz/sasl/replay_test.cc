// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/catch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

TEST_CASE("the corpus of the SASL codec is read without a fault") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CORPUS)) {
    CAPTURE(entry.path().filename().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    // Each prefix as well: a peer may stop anywhere.
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
      const auto cut = bytes.substr(0, size);
      CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(cut.data()), cut.size()) == 0);
    }
    ++count;
  }
  CHECK(count >= 6);
}
