// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/reply_match.h"

#include "tests/support/catch.h"

using namespace trunkline::mqtt;

namespace {

ReplyVerdict match(const std::string& payload, std::optional<std::string> outstanding,
                   const std::vector<std::string>& ended = {}) {
  return match_reply({std::nullopt, payload}, outstanding, ended);
}

}  // namespace

TEST_CASE("correlation data decides alone", "[C-01]") {
  CHECK(match_reply({"7", "8"}, "7", {}) == ReplyVerdict::done);
  CHECK(match_reply({"8", "7"}, "7", {}) == ReplyVerdict::nobody);
  CHECK(match_reply({"6", "7"}, "7", {"6"}) == ReplyVerdict::late);
  CHECK(match_reply({"", "7"}, "7", {}) == ReplyVerdict::nobody);
  CHECK(match_reply({"7", ""}, std::nullopt, {}) == ReplyVerdict::nobody);
}

TEST_CASE("a payload that names a command answers that one", "[C-01]") {
  CHECK(match("7", "7") == ReplyVerdict::done);
  CHECK(match(" 7\r\n", "7") == ReplyVerdict::done);
  CHECK(match("6", "7", {"6"}) == ReplyVerdict::late);
  CHECK(match(R"({"id":"7","ok":true})", "7") == ReplyVerdict::done);
  CHECK(match(R"({"id":6})", "7", {"5", "6"}) == ReplyVerdict::late);
  CHECK(match(R"({"id":6})", std::nullopt, {"6"}) == ReplyVerdict::late);
}

TEST_CASE("a payload that names none answers the outstanding command", "[C-01]") {
  CHECK(match("done", "7", {"6"}) == ReplyVerdict::done);
  CHECK(match("", "7") == ReplyVerdict::done);
  CHECK(match(R"({"id":"my own number"})", "7", {"6"}) == ReplyVerdict::done);
  CHECK(match("{\"id\":", "7") == ReplyVerdict::done);
  CHECK(match("done", std::nullopt, {"6"}) == ReplyVerdict::nobody);
}

TEST_CASE("an id is stated as digits or as a member") {
  CHECK(stated_id("12") == "12");
  CHECK(stated_id("18446744073709551615") == "18446744073709551615");
  CHECK(stated_id(R"({"id":18446744073709551615})") == "18446744073709551615");
  CHECK(stated_id(R"( {"x":{"id":1},"id":"a"} )") == "a");
  CHECK_FALSE(stated_id("12a"));
  CHECK_FALSE(stated_id("123456789012345678901"));
  CHECK_FALSE(stated_id("-1"));
  CHECK_FALSE(stated_id(R"({"id":-1})"));
  CHECK_FALSE(stated_id(R"({"id":1.5})"));
  CHECK_FALSE(stated_id(R"({"id":null})"));
  CHECK_FALSE(stated_id(R"([{"id":1}])"));
  CHECK_FALSE(stated_id(""));
  CHECK_FALSE(stated_id(" \t"));
  CHECK_FALSE(stated_id("{" + std::string(70'000, ' ') + "\"id\":1}"));
  CHECK_FALSE(stated_id(std::string(1000, '[')));
}
