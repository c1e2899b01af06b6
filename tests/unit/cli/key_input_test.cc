// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/key_input.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "tests/support/catch.h"
#include "tests/unit/cli/cli_run.h"

namespace trunkline::cli {

TEST_CASE("a secret text is read whole from a file or a stream, and bounded", "[cli]") {
  const CliFolder folder;
  std::string large(20'000, 'x');
  large += "\0end";
  large.back() = 'D';
  folder.write("key", large);
  std::istringstream in(large);
  CHECK(read_secret_text("-", in, 30'000).value().reveal() == large);
  std::istringstream empty;
  CHECK(read_secret_text("-", empty, 10).value().empty());
  CHECK(read_secret_text(folder.path / "key", empty, 30'000).value().reveal() == large);
  CHECK(read_secret_text(folder.path / "key", empty, 19'000).error().code == ErrorCode::exhausted);
  CHECK(read_secret_text(folder.path, empty, 10).error().code == ErrorCode::invalid);
  CHECK(read_secret_text(folder.path / "none", empty, 10).error().code == ErrorCode::not_found);
}

TEST_CASE("a file that others may read is recognised", "[cli][S-01]") {
  const CliFolder folder;
  folder.write("key", "x");
  const auto file = (folder.path / "key").string();
  REQUIRE(chmod(file.c_str(), 0600) == 0);
  CHECK(!others_may_read(file));
  REQUIRE(chmod(file.c_str(), 0640) == 0);
  CHECK(others_may_read(file));
  CHECK(!others_may_read("-"));
  CHECK(!others_may_read("/dev/null"));
}

}  // namespace trunkline::cli
