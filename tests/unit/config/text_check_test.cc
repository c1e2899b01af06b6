// SPDX-License-Identifier: Apache-2.0
#include "config/text_check.h"

#include <string>

#include "tests/support/catch.h"

namespace trunkline::config {
namespace {

// "line:column" of the fault, empty if there is none.
std::string fault(std::string_view text) {
  const auto found = find_text_fault(text);
  return found ? std::to_string(found->mark.line) + ":" + std::to_string(found->mark.column) : "";
}

}  // namespace

TEST_CASE("characters outside ASCII belong into strings and comments", "[config]") {
  for (const auto* text : {"a = \"ü\"", "a = 'ü' # ü", "\"ü\" = 1", "# ü\na = 1", "a = \"\\\"ü\"", "a = '\\' # ü",
                           "a = \"\" # ü", "a = \"\"\"\nü\"\"\"", "a = '''\n'ü''''", "a = \"\"\"x\"\"\"\"\" # ü",
                           "a = \"\"\"\"\"\" # ü", "a = \"\"\"\\\"\"\"ü\"\"\"",
                           "\xEF\xBB\xBF"
                           "a = 1"}) {
    INFO(text);
    CHECK(fault(text).empty());
    CHECK(parse_document("f", text).usable);
  }
  CHECK(fault("größe = 1") == "1:3");
  CHECK(fault("a = ü") == "1:5");
  CHECK(fault("a = \"ü\" ü") == "1:9");
  CHECK(fault("a = 'x\\' ü") == "1:10");
  CHECK(fault("a = \"\"\"x\"\"\" ü") == "1:13");
  CHECK(fault("a = \"x\nü") == "2:1");
  CHECK(fault("# \"\"\"\nü") == "2:1");
  CHECK(fault("a = \"\"\"x\\\n  \n ü\"\"\"") == "3:2");
  CHECK(fault("a = \"\"\"x\\\n  y ü\"\"\"").empty());
}

TEST_CASE("a control character is found wherever it stands", "[config]") {
  CHECK(fault(std::string("[\0hub]", 6)) == "1:2");
  CHECK(fault("a = \"ü\x1b\"") == "1:7");
  CHECK(fault("a = 1\n# \x7f") == "2:3");
  CHECK(fault("a = 1\t\r\n").empty());
}

TEST_CASE("two hundred dots in a line are enough", "[config]") {
  CHECK(fault("# " + std::string(200, '.') + "\n" + std::string(200, '.')).empty());
  CHECK(fault("\n  " + std::string(201, '.')) == "2:1");
}

}  // namespace trunkline::config
