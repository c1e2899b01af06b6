// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/log.h"

#include "tests/support/catch.h"

namespace trunkline::log {

TEST_CASE("a line is its event and key=value pairs", "[base]") {
  CHECK(format_line("uplink_connected", {}) == "uplink_connected");
  CHECK(format_line("uplink_lost", {{"device", "dev-1"}, {"attempt", 3}, {"retry", true}}) ==
        "uplink_lost device=dev-1 attempt=3 retry=true");
}

TEST_CASE("a value from outside cannot break its line or pretend to be another field", "[base]") {
  const auto line = format_line("e", {{"peer", "a b=\"c\"\nd\x1b[0m\\"}, {"empty", ""}});
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find('\x1b') == std::string::npos);
  CHECK(line.find("peer=\"") != std::string::npos);
  CHECK(line.find(" empty=\"\"") != std::string::npos);
  CHECK(format_line("e", {{"k", "x=y"}}) == "e k=\"x=y\"");
}

TEST_CASE("a value is cut at its bound", "[base]") {
  const auto line = format_line("e", {{"k", std::string(10'000, 'x')}});
  CHECK(line.size() < 300);
  CHECK(line.size() > 256);
}

}  // namespace trunkline::log
