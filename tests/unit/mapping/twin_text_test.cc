// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/mapping/method_answer.h"
#include "gateway/mapping/twin_rules.h"
#include "tests/support/catch.h"

using namespace trunkline;

namespace {

json::object object(std::string_view text) {
  return read_json(text).value().get_object();
}

}  // namespace

TEST_CASE("patches: what RFC 7396 says, and back again") {
  struct Case {
    const char* from;
    const char* patch;
    const char* to;
  };
  for (const auto& [from, patch, to] : {
           Case{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
           Case{R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
           Case{R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
           Case{R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
           Case{R"({"a":[1,2]})", R"({"a":[3]})", R"({"a":[3]})"},
           Case{R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
           Case{R"({"a":1})", R"({"a":{"b":2}})", R"({"a":{"b":2}})"},
       }) {
    auto document = object(from);
    apply_patch(document, object(patch));
    CHECK(document == object(to));
    CHECK(needed_part(object(patch), document).empty());
    auto again = object(from);
    apply_patch(again, difference(object(from), object(to)));
    CHECK(again == object(to));
  }
}

TEST_CASE("patches: two become one that keeps what is deleted") {
  auto first = object(R"({"a":1,"n":{"x":1}})");
  combine_patches(first, object(R"({"a":null,"n":{"y":2}})"));
  CHECK(first == object(R"({"a":null,"n":{"x":1,"y":2}})"));
}

TEST_CASE("a device's answer becomes status and payload") {
  struct Case {
    std::string said;
    int status;
    std::string payload;
  };
  for (const auto& [said, status, payload] : {
           Case{"", 200, "null"},
           Case{"42", 200, "42"},
           Case{"OK then", 200, R"("OK then")"},
           Case{R"({"open":true})", 200, R"({"open":true})"},
           Case{R"({"status":409,"payload":{"why":"moving"},"id":"7"})", 409, R"({"why":"moving"})"},
           Case{R"({"status":202,"id":"7","left":3})", 202, R"({"left":3})"},
           Case{R"({"status":204,"id":"7"})", 204, "null"},
           Case{R"({"status":"good"})", 200, R"({"status":"good"})"},
           Case{"\xff\xfe", 200, R"({"base64":"//4="})"},
       }) {
    const auto answer = read_answer(said);
    CHECK(answer.status == status);
    CHECK(answer.payload == payload);
  }
  CHECK(read_answer(R"({"status":409})", 201).status == 201);
  CHECK(read_answer(R"({"status":409})", 201).payload == R"({"status":409})");
  CHECK(read_answer(std::string(MethodResponse::kMaxPayload + 1, '1')).status == MethodResponse::kUnusable);
  CHECK(read_answer(std::string(MethodResponse::kMaxPayload, '"')).status == MethodResponse::kUnusable);
}

TEST_CASE("properties that the hub refuses are refused before") {
  CHECK(read_properties(R"({"a":{"b":[1,2,{"c":true}]}})"));
  const auto deep = [](int levels) {
    std::string out;
    for (int i = 0; i < levels; ++i) out += R"({"a":)";
    return out + "1" + std::string(static_cast<std::size_t>(levels), '}');
  };
  CHECK(read_properties(deep(10)));
  for (const auto& text :
       {std::string("not json"), std::string("[1]"), std::string(R"({"a.b":1})"), std::string(R"({"$a":1})"),
        std::string(R"({"a b":1})"), std::string("{\"a\\u0001\":1}"), std::string(R"({"":1})"),
        R"({")" + std::string(1025, 'n') + R"(":1})", R"({"a":")" + std::string(4097, 'x') + "\"}",
        std::string(R"({"a":4503599627370496})"), std::string(R"({"a":18446744073709551615})"), deep(11)}) {
    CHECK_FALSE(read_properties(text));
  }
  std::string large = "{";
  for (int i = 0; i < 9; ++i) {
    large += "\"p" + std::to_string(i) + "\":\"" + std::string(4'000, 'x') + "\",";
  }
  large.back() = '}';
  CHECK_FALSE(read_properties(large));
}
