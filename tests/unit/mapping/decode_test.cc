// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/decode.h"

#include <memory>
#include <string>
#include <vector>

#include "gateway/mapping/json_text.h"
#include "gateway/mapping/payload_map.h"
#include "gateway/mapping/shaper.h"
#include "tests/support/catch.h"

using namespace trunkline;
using Type = DecodeField::Type;
using Kind = Decode::Kind;

namespace {

std::string said(const Decode& rule, std::string_view message) {
  const auto value = decode(rule, message);
  return value ? json_text(*value) : "refused: " + value.error().message;
}

Decode bytes(std::vector<DecodeField> fields) {
  return {.kind = Kind::bytes, .fields = std::move(fields)};
}

template <std::size_t N>
std::string raw(const char (&text)[N]) {
  return std::string(text, N - 1);
}

}  // namespace

TEST_CASE("binary values are read in every order of bytes and words", "[mapping]") {
  const auto one = [](DecodeField field, const std::string& message) {
    return said(bytes({std::move(field)}), message);
  };
  CHECK(one({.name = "v", .type = Type::unsigned_, .at = 1, .size = 2}, raw("x\x01\x02")) == R"({"v":258})");
  CHECK(one({.name = "v", .type = Type::unsigned_, .size = 2, .little_endian = true}, raw("\x01\x02")) ==
        R"({"v":513})");
  CHECK(one({.name = "v", .type = Type::signed_, .size = 2}, raw("\xFF\xFE")) == R"({"v":-2})");
  CHECK(one({.name = "v", .type = Type::signed_, .size = 3}, raw("\x80\0\0")) == R"({"v":-8388608})");
  CHECK(one({.name = "v", .type = Type::unsigned_, .size = 8}, raw("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")) ==
        R"({"v":18446744073709551615})");
  CHECK(one({.name = "v", .type = Type::magnitude, .size = 2}, raw("\x80\x05")) == R"({"v":-5})");
  // 123.5 is 42 F7 00 00.
  CHECK(one({.name = "v", .type = Type::float_, .size = 4}, raw("\x42\xF7\0\0")) == R"({"v":123.5})");
  CHECK(one({.name = "v", .type = Type::float_, .size = 4, .words_swapped = true}, raw("\0\0\x42\xF7")) ==
        R"({"v":123.5})");
  CHECK(one({.name = "v", .type = Type::float_, .size = 4, .little_endian = true}, raw("\0\0\xF7\x42")) ==
        R"({"v":123.5})");
  CHECK(one({.name = "v", .type = Type::float_, .size = 4, .little_endian = true, .words_swapped = true},
            raw("\xF7\x42\0\0")) == R"({"v":123.5})");
  CHECK(one({.name = "v", .type = Type::float_, .size = 8}, raw("\x3F\xF8\0\0\0\0\0\0")) == R"({"v":1.5})");
  CHECK(one({.name = "v", .type = Type::float_, .size = 4}, raw("\x7F\xC0\0\0")) == R"({"v":null})");
  CHECK(one({.name = "v", .type = Type::bcd, .size = 3}, raw("\x12\x34\x56")) == R"({"v":123456})");
  CHECK(one({.name = "v", .type = Type::bcd, .size = 8}, raw("\x12\x34\x56\x78\x90\x12\x34\x57")) ==
        R"({"v":1234567890123457})");
  CHECK(one({.name = "v", .type = Type::bcd, .size = 2, .factor = 0.01}, raw("\x12\x34")) == R"({"v":12.34})");
  CHECK(one({.name = "v", .type = Type::bcd, .size = 1}, raw("\x1A")).starts_with("refused"));
  CHECK(one({.name = "v", .type = Type::hex, .size = 2}, raw("\x0A\xFF")) == R"({"v":"0aff"})");
}

TEST_CASE("values are scaled, cut into bits and named", "[mapping]") {
  const auto rule = bytes({{.name = "t", .type = Type::signed_, .size = 2, .factor = 0.1, .offset = -40},
                           {.name = "stable",
                            .type = Type::unsigned_,
                            .at = 2,
                            .size = 1,
                            .bit = 3,
                            .bits = 1,
                            .names = {{"0", "moving"}, {"1", "stable"}}},
                           {.name = "mode", .type = Type::unsigned_, .at = 2, .size = 1, .bit = 4, .bits = 3},
                           {.name = "late", .type = Type::unsigned_, .at = 30, .size = 4}});
  CHECK(said(rule, raw("\x02\x58\x5F")) == R"({"t":20,"stable":"stable","mode":5})");
  CHECK(said(rule, raw("\x02\x59\x57")) == R"({"t":20.1,"stable":"moving","mode":5})");
  CHECK(said(rule, "x").starts_with("refused"));
}

TEST_CASE("columns, CSV and patterns give texts and numbers, with a decimal comma too", "[mapping]") {
  const Decode columns{.kind = Kind::columns,
                       .decimal_comma = true,
                       .fields = {{.name = "state", .size = 2},
                                  {.name = "net", .at = 3, .size = 9, .number = true},
                                  {.name = "unit", .at = 12, .size = 3}}};
  CHECK(said(columns, "ST -   12,50 kg") == R"({"state":"ST","net":-12.5,"unit":"kg"})");
  const Decode csv{.kind = Kind::csv,
                   .separator = ';',
                   .decimal_comma = true,
                   .fields = {{.name = "name", .column = 1}, {.name = "v", .column = 3, .number = true}}};
  CHECK(said(csv, "\"a;\"\"b\";x;1.234,5") == R"({"name":"a;\"b","v":1234.5})");
  CHECK(said(csv, "a;x;") == R"({"name":"a"})");
  const Decode match{.kind = Kind::match,
                     .pattern = *Pattern::parse(R"(^(?<stable>[SU])\s+(?<kg>[\d.]+))"),
                     .fields = {{.name = "kg", .number = true, .factor = 1000}}};
  CHECK(said(match, "S   1.25 kg") == R"({"stable":"S","kg":1250})");
  CHECK(said(match, "nothing").starts_with("refused"));
}

TEST_CASE("texts of old code pages become UTF-8", "[mapping]") {
  CHECK(to_utf8(Decode::Charset::cp437, "\x81\xF8") == "ü°");
  CHECK(to_utf8(Decode::Charset::latin1, "\xFC") == "ü");
  CHECK(to_utf8(Decode::Charset::cp1252, "\x80\x81") == "€\xEF\xBF\xBD");
  CHECK(to_utf8(Decode::Charset::utf8, "ü") == "ü");
  CHECK(to_utf8(Decode::Charset::utf8, "\xFC") == "\xEF\xBF\xBD");
}

TEST_CASE("a pattern that would take for ever is given up", "[I-01]") {
  const auto pattern = Pattern::parse("^(a+)+$");
  REQUIRE(pattern);
  CHECK_FALSE(pattern->find(std::string(4000, 'a') + "b"));
  CHECK_FALSE(Pattern::parse("("));
  CHECK_FALSE(Pattern::parse(std::string(600, 'a')));
}

TEST_CASE("what was decoded goes through the rest of the map", "[mapping]") {
  auto decode = std::make_shared<Decode>();
  decode->fields = {{.name = "raw", .type = Type::unsigned_, .size = 2}};
  auto map = std::make_shared<PayloadMap>();
  map->decode = decode;
  map->fields = {{"watts", Pick::From::pointer, "/raw", false, 10}};
  map->change_only = true;
  Shaper shaper(map, {});
  Telemetry telemetry{*DeviceId::parse("m"), raw("\0\x07"), "application/octet-stream", "", {}, "", Source::tcp};
  CHECK(shaper.take(telemetry, {}).kind == Shaper::Verdict::Kind::forward);
  CHECK(telemetry.body == R"({"watts":70})");
  CHECK(telemetry.content_type == "application/json");
  telemetry.body = raw("\0\x07");
  CHECK(shaper.take(telemetry, {}).kind == Shaper::Verdict::Kind::filtered);
  telemetry.body = "x";
  CHECK(shaper.take(telemetry, {}).kind == Shaper::Verdict::Kind::refused);
}
