// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <random>

#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace trunkline::config {
namespace {

void run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

}  // namespace

TEST_CASE("the loader survives its corpus, whole and damaged", "[config][fuzz]") {
  std::size_t files = 0;
  std::mt19937 random(7);
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(TRUNKLINE_SOURCE_DIR) + "/tests/fuzz/config/corpus")) {
    const auto text = read_source("tests/fuzz/config/corpus/" + entry.path().filename().string());
    ++files;
    run(text);
    for (int round = 0; round < 60 && !text.empty(); ++round) {
      auto damaged = text;
      damaged[random() % damaged.size()] = static_cast<char>(random());
      run(damaged);
      run(text.substr(0, random() % text.size()));
    }
  }
  CHECK(files >= 6);
}

}  // namespace trunkline::config
