// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/template.h"

#include <random>

#include "tests/support/catch.h"

namespace trunkline {
namespace {

Template parse(std::string_view text) {
  return Template::parse(text, {"id", "payload", "device"}).value();
}

}  // namespace

TEST_CASE("fields are filled, doubled braces stand for themselves", "[mapping]") {
  CHECK(parse("SET {id} {payload}\r\n").fill({{"id", "7"}, {"payload", "on"}}) == "SET 7 on\r\n");
  CHECK(parse("{{{id}}}").fill({{"id", "7"}}) == "{7}");
  CHECK(parse("{payload}{device}").fill({{"payload", "a"}}) == "a");
  CHECK(parse("{payload}").fill({{"payload", "{id}"}, {"id", "x"}}) == "{id}");
  CHECK(parse("").fill({}).empty());
  CHECK(parse("a{id}").has("id"));
  CHECK(!parse("id{{id}}").has("id"));
}

TEST_CASE("a template with a mistake says which", "[mapping]") {
  const auto error = [](std::string_view text) { return Template::parse(text, {"id", "payload"}).error().message; };
  CHECK(error("{name}") == "unknown field {name}; known here: {id}, {payload}");
  CHECK(error("{}").find("unknown field {}") == 0);
  CHECK(error("a{id").find("a '{' without its '}'") == 0);
  CHECK(error("a}").find("a '}' without its '{'") == 0);
  CHECK(error("{{id}").find("a '}' without its '{'") == 0);
  CHECK(Template::parse("{id}", {}).error().code == ErrorCode::invalid);
}

TEST_CASE("a text matches when each field stands for something", "[mapping]") {
  CHECK(parse("DONE {id}").match("DONE 42", "id") == "42");
  CHECK(parse("DONE {id}").match("DONE ", "id") == std::nullopt);
  CHECK(parse("DONE {id}").match("done 42", "id") == std::nullopt);
  CHECK(parse("DONE {id}").match("DON", "id") == std::nullopt);
  CHECK(parse("OK").match("OK", "id") == "");
  CHECK(parse("OK").match("OK ", "id") == std::nullopt);
  CHECK(parse("{id}: {payload}").match("7: a: b", "id") == "7");
  CHECK(parse("{id}: {payload}").match("7: a: b", "payload") == "a: b");
  CHECK(parse("{payload}#{id}").match("a#b#7", "payload") == "a");
  CHECK(parse("{payload} {id};").match("x 7;", "id") == "7");
  CHECK(parse("{payload} {id};").match("x 7", "id") == std::nullopt);
  CHECK(parse("{id}{payload}").match("abc", "payload") == "bc");
  CHECK(parse("{id};").match("a;b;", "id") == "a;b");
  CHECK(parse("<{id}>").match("<>", "id") == std::nullopt);
}

TEST_CASE("what a template fills in, it finds again", "[mapping]") {
  std::mt19937 random(3);
  const auto reply = parse("ACK {id} OK");
  for (int round = 0; round < 500; ++round) {
    std::string id(1 + random() % 20, '\0');
    for (auto& c : id) c = static_cast<char>('0' + random() % 10);
    CHECK(reply.match(reply.fill({{"id", id}}), "id") == id);
  }
}

}  // namespace trunkline
