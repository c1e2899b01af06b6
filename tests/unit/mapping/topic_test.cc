// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/topic_matcher.h"
#include "tests/support/catch.h"

namespace trunkline {
namespace {

TopicPattern pattern(std::string_view text, const Captures& known = {}) {
  return TopicPattern::parse(text, known).value();
}

std::string fault(std::string_view text) {
  const auto parsed = TopicPattern::parse(text);
  return parsed ? "" : parsed.error().message;
}

// "<value> name=captured …", or "-".
std::string look(const TopicMatcher& matcher, std::string_view topic) {
  const auto match = matcher.find(topic);
  if (!match) return "-";
  auto out = std::to_string(match->value);
  for (const auto& [name, value] : match->captures) out += " " + name + "=" + value;
  return out;
}

TopicMatcher matcher(std::initializer_list<std::string_view> patterns) {
  TopicMatcher out;
  std::size_t value = 0;
  for (const auto text : patterns) REQUIRE_FALSE(out.add(pattern(text), value++));
  return out;
}

}  // namespace

TEST_CASE("named captures take one level or several", "[mapping]") {
  const auto topics = matcher({"tele/{topic}/SENSOR", "zigbee2mqtt/{name+}", "zigbee2mqtt/{name+}/availability",
                               "shellies/{id}/{what+}", "plant/+/x/#"});
  CHECK(look(topics, "tele/plug-7/SENSOR") == "0 topic=plug-7");
  CHECK(look(topics, "tele/plug-7/STATE") == "-");
  CHECK(look(topics, "tele//SENSOR") == "-");
  CHECK(look(topics, "tele/a/b/SENSOR") == "-");
  CHECK(look(topics, "zigbee2mqtt/kitchen/lamp") == "1 name=kitchen/lamp");
  CHECK(look(topics, "zigbee2mqtt/kitchen/lamp/availability") == "2 name=kitchen/lamp");
  CHECK(look(topics, "zigbee2mqtt/availability") == "1 name=availability");
  CHECK(look(topics, "zigbee2mqtt") == "-");
  CHECK(look(topics, "shellies/s1/relay/0/power") == "3 id=s1 what=relay/0/power");
  CHECK(look(topics, "plant/a/x") == "4");
  CHECK(look(topics, "plant/a/x/y/z") == "4");
  CHECK(look(topics, "plant/a/y") == "-");
}

TEST_CASE("the most specific pattern wins, from the left", "[mapping]") {
  const auto topics = matcher({"a/#", "a/{x+}/c", "a/{x}/c", "a/b/c", "a/b/{y}", "{z}/b/c", "a/{x+}/b/c"});
  CHECK(look(topics, "a/b/c") == "3");
  CHECK(look(topics, "a/b/d") == "4 y=d");
  CHECK(look(topics, "a/q/c") == "2 x=q");
  CHECK(look(topics, "a/q/r/c") == "1 x=q/r");
  CHECK(look(topics, "a/q/b/c") == "6 x=q");
  CHECK(look(topics, "a/q/r") == "0");
  CHECK(look(topics, "a") == "0");
  CHECK(look(topics, "y/b/c") == "5 z=y");
}

TEST_CASE("a branch that leads nowhere does not hide a wider pattern", "[mapping]") {
  const auto topics = matcher({"a/b/c", "{x}/{y}/d"});
  CHECK(look(topics, "a/b/d") == "1 x=a y=b");
}

TEST_CASE("a topic of many levels costs no more than its length", "[mapping]") {
  const auto topics = matcher({"{a}/{b}/{c}", "a/{x+}/z", "#"});
  std::string deep = "a";
  for (int i = 0; i < 30'000; ++i) deep += "/b";
  CHECK(look(topics, deep) == "2");
  CHECK(topics.find(deep + "/z")->captures.size() == 1);
}

TEST_CASE("patterns of one shape collide", "[mapping]") {
  TopicMatcher topics;
  CHECK_FALSE(topics.add(pattern("a/{x}"), 1));
  CHECK(topics.add(pattern("a/+"), 2) == 1U);
  CHECK_FALSE(topics.add(pattern("a/{x+}/b"), 3));
  CHECK(topics.add(pattern("a/{y+}/b"), 4) == 3U);
}

TEST_CASE("known fields are filled in, even with slashes", "[mapping]") {
  const Captures known{{"name", "kitchen/lamp"}, {"device", "z-1"}};
  CHECK(pattern("zigbee2mqtt/{name+}/set", known).text() == "zigbee2mqtt/kitchen/lamp/set");
  CHECK(pattern("x/{device}-{{a}}/{other}", known).text() == "x/z-1-{{a}}/{other}");
  CHECK(pattern("a/{x}/{y+}/z").filter() == "a/+/#");
  CHECK(pattern("cmnd/p/{command}").fill({{"command", "POWER"}}).value() == "cmnd/p/POWER");
  CHECK_FALSE(pattern("cmnd/p/{command}").fill({{"command", "a/b"}}));
  CHECK(pattern("cmnd/p/{command+}").fill({{"command", "a/b"}}).value() == "cmnd/p/a/b");
  CHECK_FALSE(pattern("cmnd/p/{command}").fill({{"command", "#"}}));
  CHECK_FALSE(pattern("cmnd/p/{command}").fill({}));
}

TEST_CASE("what cannot be a pattern is refused with its reason", "[mapping]") {
  CHECK(fault("a/b+") == "has a wildcard within a level; + and # stand alone between slashes");
  CHECK(fault("a/#/b") == "has a # that is not at its end");
  CHECK(fault("$SYS/x").find("starts with $") == 0);
  CHECK(fault("a/{x+}/{y+}").find("two fields") != std::string::npos);
  CHECK(fault("a/x{y}").find("unknown field") == 0);
  CHECK(fault("a/{X}").find("small letters") != std::string::npos);
  CHECK(fault("") == "is empty");
  CHECK(fault("a\xff").find("UTF-8") != std::string::npos);
}

TEST_CASE("overlaps and covering are told", "[mapping]") {
  CHECK(pattern("a/{x}/c").overlaps(pattern("{y}/b/c")));
  CHECK(pattern("a/{x+}/c").overlaps(pattern("a/b/{y+}")));
  CHECK_FALSE(pattern("a/{x+}/c").overlaps(pattern("a/{y+}/d")));
  CHECK_FALSE(pattern("a/{x}").overlaps(pattern("a")));
  CHECK(pattern("a/#").overlaps(pattern("a")));
  CHECK(filter_covers("a/#", "a"));
  CHECK(filter_covers("a/#", "a/+/c"));
  CHECK(filter_covers("a/+", "a/b"));
  CHECK_FALSE(filter_covers("a/+", "a/#"));
  CHECK_FALSE(filter_covers("a/+", "a"));
  CHECK_FALSE(filter_covers("a/b", "a/+"));
  CHECK(filter_covers("#", "a/b"));
}

}  // namespace trunkline
