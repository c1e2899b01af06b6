// SPDX-License-Identifier: Apache-2.0
#include "config/framing.h"

#include <algorithm>
#include <string>

#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

using namespace trunkline;
using namespace trunkline::config;

namespace {

struct Read {
  Framing framing;
  std::string problems;
  std::string warnings;
};

// The place counts from the start of "f = { … }".
Read read(const std::string& options) {
  std::string line = "f = { " + options + " }";
  std::replace(line.begin(), line.end(), '\n', ' ');  // TOML wants an inline table on one line
  const auto document = parse_document("/c/d", line);
  REQUIRE(document.usable);
  Findings findings("/c/d");
  Read out;
  read_framing(document.root.table()->entries.front(), findings, out.framing);
  out.problems = report(findings.problems);
  out.warnings = report(findings.warnings);
  return out;
}

std::string problems(const std::string& options) {
  return read(options).problems;
}

}  // namespace

TEST_CASE("a framing without a kind is lines, with the old defaults") {
  const auto [framing, wrong, warned] = read("end = \"\\r\\n\"");
  CHECK(wrong.empty());
  CHECK(warned.empty());
  CHECK(framing.kind == FramingKind::line);
  CHECK(framing.end == "\r\n");
  CHECK(framing.max_length == 64 * 1024);
  CHECK(framing.timeout.count() == 0);
  CHECK(read("kind = \"line\", end = \"any\"").framing.end.empty());
}

TEST_CASE("every option of every framing kind is read") {
  const auto marks =
      read(R"(kind = "marks", start = '\x01', end = '\x04', stuffed = true, check = "crc16", check_form = "hex",
                             check_at = "before_end", check_start = true, on_bad_check = "flag", keep = true, max = "1KiB",
                             timeout = "2s")");
  CHECK(marks.problems.empty());
  const auto& m = marks.framing;
  CHECK((m.start == "\x01" && m.end == "\x04" && m.stuffed && m.check == FrameCheck::crc16 && m.check_hex));
  CHECK((m.check_inside && m.check_start && m.policy == CheckPolicy::flag && m.keep && m.max_length == 1024));
  CHECK(m.timeout == Milliseconds(2'000));

  const auto length =
      read(R"(kind = "length", offset = 3, width = 4, endian = "little", adjust = -2, magic = '\xAA\x55',
                              check = "sum", on_bad_check = "pass", keep = false)");
  CHECK(length.problems.empty());
  CHECK(length.warnings.empty());
  const auto& l = length.framing;
  CHECK((l.offset == 3 && l.width == 4 && l.little_endian && l.adjust == -2 && l.magic == "\xAA\x55" && !l.keep));
  CHECK((l.check == FrameCheck::sum && l.policy == CheckPolicy::pass && l.timeout == Milliseconds(10'000)));

  const auto fixed = read(R"(kind = "fixed", size = 9, sync = '\xAA', check = "lrc")").framing;
  CHECK((fixed.size == 9 && fixed.magic == "\xAA" && fixed.check == FrameCheck::lrc));
  CHECK(read("kind = \"nmea\", require_check = true").framing.require_check);
  CHECK(read("kind = \"modbus_rtu\", side = \"both\"").framing.side == ModbusSide::both);
  CHECK(read("kind = \"octets\", magic = \"<\", keep = true").framing.magic == "<");
  CHECK(read("kind = \"idle\", timeout = \"80ms\"").framing.timeout == Milliseconds(80));
  CHECK(read("kind = \"end\"").framing.end == std::string(1, '\0'));
  for (const auto* kind : {"json", "slip", "cobs", "mbus", "modbus_tcp", "modbus_ascii"}) {
    CHECK(problems(std::string("kind = \"") + kind + "\", max = \"4KiB\", timeout = \"5s\"").empty());
  }
}

TEST_CASE("what a framing kind cannot have is named where it stands") {
  CHECK(
      problems("kind = \"lines\"").rfind("d:1:14: tcp.framing.kind is \"lines\"; write one of \"line\", \"end\"", 0) ==
      0);
  CHECK(problems("kind = \"json\", end = \"x\"") == "d:1:22: unknown key \"end\" in tcp.framing; remove it\n");
  CHECK(problems("kind = \"marks\", start = '\\xG1'").rfind("d:1:31: tcp.framing.start: \"\\x\" needs two hex", 0) ==
        0);
  CHECK(problems("kind = \"marks\", start = '\\q'").find("a backslash stands before") != std::string::npos);
  CHECK(problems("end = \"12345678901234567\"").find("17 bytes; write at most 16") != std::string::npos);
  CHECK(problems("kind = \"fixed\"") == "d:1:5: tcp.framing.size is missing; add it to this table\n");
  CHECK(problems("kind = \"fixed\", size = 2, sync = \"ab\"").find("leaves no byte beside") != std::string::npos);
  CHECK(problems("kind = \"length\", width = 5, magic = \"a\"").find("write a number from 1 to 4") !=
        std::string::npos);
  CHECK(problems("kind = \"length\", magic = \"a\", check = \"crc\"").find("write one of") != std::string::npos);
  CHECK(problems("kind = \"marks\", stuffed = \"yes\"").find("write true or false") != std::string::npos);
  CHECK(problems("kind = \"marks\", stuffed = true, start = '\\x10'").find("puts DLE before each mark") !=
        std::string::npos);
}

TEST_CASE("a framing that is lost after one lost byte is warned about") {
  CHECK(read("kind = \"length\"").warnings.find("neither magic nor check") != std::string::npos);
  CHECK(read("kind = \"fixed\", size = 4").warnings.find("neither sync nor check") != std::string::npos);
  CHECK(read("kind = \"fixed\", size = 4, check = \"sum\"").warnings.empty());
}
