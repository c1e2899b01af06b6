// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/result.h"

#include <cerrno>

#include "gateway/base/guarded.h"
#include "gateway/base/unique_function.h"
#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("context is added in front of an error and its code stays", "[base]") {
  const Result<int> failed = fail(ErrorCode::denied, "no");
  REQUIRE(!failed);
  const auto error = failed.error().in("key").in("store");
  CHECK(error.code == ErrorCode::denied);
  CHECK(error.message == "store: key: no");
  CHECK(to_string(ErrorCode::timed_out) == "timed_out");
  CHECK(errno_text(ENOENT) == "No such file or directory");
}

TEST_CASE("a unique function holds what can only be moved", "[base]") {
  auto value = std::make_unique<int>(4);
  UniqueFunction<int(int)> add([value = std::move(value)](int more) { return *value + more; });
  auto moved = std::move(add);
  CHECK(!add);
  REQUIRE(moved);
  CHECK(moved(3) == 7);
  CHECK(!UniqueFunction<void()>());
}

TEST_CASE("a guarded value is reached through its lock", "[base]") {
  Guarded<int> guarded(1);
  guarded.with([](int& value) { ++value; });
  CHECK(std::as_const(guarded).with([](const int& value) { return value; }) == 2);
}

}  // namespace trunkline
