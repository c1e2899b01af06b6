// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <array>

#include "config/address.h"
#include "config/suggest.h"
#include "tests/support/catch.h"

namespace trunkline::config {

TEST_CASE("a duration is a whole number and its unit", "[config]") {
  CHECK(parse_duration("250ms").value() == Milliseconds(250));
  CHECK(parse_duration("30s").value() == Milliseconds(30'000));
  CHECK(parse_duration("5m").value() == Milliseconds(300'000));
  CHECK(parse_duration("1h").value() == Milliseconds(3'600'000));
  CHECK(parse_duration("7d").value() == Milliseconds(604'800'000));
  for (const auto* wrong : {"", "s", "30", "1.5s", "-1s", " 1s", "1 s", "1s ", "1S", "1sec", "1w", "+1s"}) {
    INFO(wrong);
    CHECK(!parse_duration(wrong));
  }
  CHECK(parse_duration("30").error().message.find("unit is missing") != std::string::npos);
  CHECK(!parse_duration("18446744073709551615ms"));
  CHECK(!parse_duration("99999999999999999999s"));
  CHECK(!parse_duration("106751991168d"));
}

TEST_CASE("a size is a whole number and its unit", "[config]") {
  CHECK(parse_size("0B").value() == 0);
  CHECK(parse_size("100B").value() == 100);
  CHECK(parse_size("64KiB").value() == 65'536);
  CHECK(parse_size("8MiB").value() == 8ULL << 20);
  CHECK(parse_size("1GiB").value() == 1ULL << 30);
  CHECK(parse_size("64KB").value() == 64'000);
  CHECK(parse_size("2MB").value() == 2'000'000);
  CHECK(!parse_size("64"));
  CHECK(!parse_size("64K"));
  CHECK(!parse_size("1e3B"));
  CHECK(!parse_size("9223372036854775807GiB"));
}

TEST_CASE("a rate is a number per second or off", "[config]") {
  CHECK(parse_rate("100/s").value() == 100.0);
  CHECK(parse_rate("off").value() == 0.0);
  CHECK(!parse_rate("0/s"));
  CHECK(!parse_rate("100"));
  CHECK(!parse_rate("100/m"));
  CHECK(!parse_rate("on"));
}

TEST_CASE("units are written back in the largest exact unit", "[config]") {
  CHECK(duration_text(Milliseconds(3'600'000)) == "1h");
  CHECK(duration_text(Milliseconds(1500)) == "1500ms");
  CHECK(duration_text(Milliseconds(0)) == "0ms");
  CHECK(size_text(65'536) == "64KiB");
  CHECK(size_text(1000) == "1000B");
}

TEST_CASE("a slip of the finger is recognised", "[config]") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("hsot", "host") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  constexpr std::array<std::string_view, 3> known = {"host", "address", "ca_file"};
  CHECK(nearest("hosst", known) == "host");
  CHECK(nearest("adress", known) == "address");
  CHECK(nearest("cafile", known) == "ca_file");
  CHECK(nearest("addr", known) == "address");
  CHECK(!nearest("colour", known));
  CHECK(!nearest(std::string(100'000, 'x'), known));
}

TEST_CASE("names are quoted without control characters and with a bound", "[config]") {
  CHECK(in_quotes("a b") == "\"a b\"");
  CHECK(in_quotes("a\x1b[2J") == "\"a\\x1b[2J\"");
  CHECK(in_quotes("gr\xC3\xBC\xC3\x9F") == "\"gr\xC3\xBC\xC3\x9F\"");
  CHECK(in_quotes("\xFF") == "\"\\xff\"");
  CHECK(in_quotes(std::string(65, 'x')) == "\"" + std::string(64, 'x') + "…\"");
  CHECK(in_quotes(std::string(100'000, '\x80')).size() < 300);
}

TEST_CASE("listeners clash when the second could not bind", "[config]") {
  const auto parse = [](std::string_view text) { return ListenAddress::parse(text).value(); };
  CHECK(parse("127.0.0.1:80").clashes(parse("127.0.0.1:80")));
  CHECK(parse("0.0.0.0:80").clashes(parse("127.0.0.1:80")));
  CHECK(parse("127.0.0.1:80").clashes(parse("[::]:80")));
  CHECK(!parse("127.0.0.1:80").clashes(parse("127.0.0.2:80")));
  CHECK(!parse("127.0.0.1:80").clashes(parse("127.0.0.1:81")));
  CHECK(!parse("0.0.0.0:80").clashes(parse("[::1]:80")));
  CHECK(!parse("127.0.0.1:0").clashes(parse("127.0.0.1:0")));
  CHECK(parse("[0:0:0:0:0:0:0:1]:80").text() == "[::1]:80");
  CHECK(parse("127.8.0.1:80").loopback);
  CHECK(!ListenAddress::parse("localhost:80"));
  CHECK(!ListenAddress::parse("127.0.0.1"));
  CHECK(!ListenAddress::parse("::1:80"));
  CHECK(!ListenAddress::parse("127.0.0.1:65536"));
}

}  // namespace trunkline::config
