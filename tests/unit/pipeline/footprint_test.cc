// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "gateway/pipeline/spool.h"
#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"
#include "tests/support/temporary_folder.h"

using namespace trunkline;
using namespace trunkline::test;

TEST_CASE("database and journal stay below the cap when the room is used up, for every size of message", "[D-06]") {
  constexpr std::uint64_t kCap = 4 << 20;
  for (const std::size_t size : {1u, 200u, 1300u, 1400u, 2000u, 2100u, 4000u, 4100u, 20'000u, 250'000u}) {
    CAPTURE(size);
    TemporaryFolder folder;
    auto spool = *Spool::open({.directory = folder.path(), .max_bytes = kCap});
    std::uint64_t used = 0;
    std::uint64_t largest = 0;
    for (std::uint64_t i = 1;; ++i) {
      const auto one = message("a", i, std::string(size, 'x'));
      used += one->footprint();
      if (used > Spool::room(kCap)) break;
      const std::vector<SpoolArrival> arrivals{{one}};
      REQUIRE(spool->commit({.arrivals = arrivals, .synced = false}, Moment{}));
      if (i % 50 != 0 && size < 10'000) continue;
      std::uint64_t disk = 0;
      for (const auto& file : std::filesystem::directory_iterator(folder.path())) disk += file.file_size();
      largest = std::max(largest, disk);
    }
    REQUIRE(largest <= kCap);
    REQUIRE(largest > kCap / 2);  // and the cap is not wasted
  }
}
