// SPDX-License-Identifier: Apache-2.0
#include "config/document.h"

#include "tests/support/catch.h"

namespace trunkline::config {
namespace {

const Entry& entry(const Node& node, std::string_view name) {
  for (const auto& candidate : node.table()->entries) {
    if (candidate.name == name) return candidate;
  }
  FAIL("no key " << name);
  throw 0;
}

}  // namespace

TEST_CASE("every key and value of a document has its place", "[config]") {
  const auto document = parse_document("f", "a = 1\n[b]\n  c = \"x\"\nd.e = [true, 1.5]\n");
  REQUIRE(document.usable);
  const auto& a = entry(document.root, "a");
  CHECK(a.mark.line == 1);
  CHECK(a.value.mark.column == 5);
  const auto& b = entry(document.root, "b");
  CHECK(b.mark.line == 2);
  const auto& c = entry(b.value, "c");
  CHECK(c.mark.line == 3);
  CHECK(c.mark.column == 3);
  CHECK(c.value.mark.column == 7);
  const auto& d = entry(b.value, "d");
  CHECK(d.mark.line == 4);
  CHECK(entry(d.value, "e").value.array()->items.size() == 2);
  CHECK(entry(d.value, "e").value.array()->items[1].type_name() == "a fraction");
}

TEST_CASE("a syntax error has its place", "[config]") {
  const auto document = parse_document("f.toml", "a = 1\nb = \n");
  CHECK(!document.usable);
  REQUIRE(document.problems.size() == 1);
  CHECK(document.problems[0].place.line == 2);
  CHECK(document.problems[0].text().rfind("f.toml:2:", 0) == 0);
}

TEST_CASE("a table header that is cut short is a syntax error", "[config]") {
  for (const auto* text :
       {"[", "[\n", "[[", "[[\nx = 1", "[=", "[]", "[a.", "[a.\n", "[a", "[[a]", "[ [a]]", "[a]]", "x = [\n"}) {
    INFO(text);
    const auto document = parse_document("f", text);
    CHECK(!document.usable);
    CHECK(document.problems.at(0).place.line >= 1);
  }
}

TEST_CASE("a document too deep is refused and not recursed into", "[config]") {
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  CHECK(!parse_document("f", dots + " = 1").usable);
  CHECK(!parse_document("f", "a = " + std::string(100'000, '[')).usable);
  CHECK(!parse_document("f", std::string(100'000, '{')).usable);
  std::string tables = "a = ";
  for (int i = 0; i < 5000; ++i) tables += "{b = ";
  CHECK(!parse_document("f", tables).usable);
}

TEST_CASE("bytes that are no text are a problem, not a crash", "[config]") {
  CHECK(!parse_document("f", std::string("a = \"\xFF\"")).usable);
  CHECK(!parse_document("f", std::string("a\0b = 1", 7)).usable);
  const auto header = parse_document("f", std::string("a = \"\xC3\xBC\"\n[\0hub]", 15));
  REQUIRE(header.problems.size() == 1);
  CHECK(header.problems[0].text() == "f:2:2: not valid TOML: a control character; remove it");
  CHECK(parse_document("f", "# \xC3\xBC \x1b").problems.at(0).place.column == 5);
  CHECK(!parse_document("f", "a = \"\xED\xA0\x80\"").usable);
  CHECK(parse_document("f",
                       "\xEF\xBB\xBF"
                       "a = 1")
            .usable);
  CHECK(parse_document("f", "").usable);
}

}  // namespace trunkline::config
