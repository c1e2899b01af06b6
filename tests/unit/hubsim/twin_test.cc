// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/twin.h"

#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::hubsim;

namespace {

const WallTime kNow(std::chrono::seconds(1'700'000'000));

json::object parse(std::string_view text) {
  return json::parse({text.data(), text.size()}).get_object();
}

json::object desired(std::string_view text) {
  return {{"properties", json::object{{"desired", parse(text)}}}};
}

// An object in an object, so many levels deep.
json::object nested(int levels) {
  json::object inner{{"leaf", 1}};
  for (int i = 0; i < levels; ++i) inner = json::object{{"level", std::move(inner)}};
  return inner;
}

}  // namespace

TEST_CASE("reported properties are merged, null deletes, and the version grows by one") {
  Twin twin;
  CHECK(twin.device_view() == parse(R"({"desired":{"$version":1},"reported":{"$version":1}})"));
  CHECK(twin.patch_reported(parse(R"({"a":1,"b":{"c":true,"d":"x"}})"), kNow) == 2);
  CHECK(twin.patch_reported(parse(R"({"a":null,"b":{"d":null,"e":[1,2]},"nothing":null})"), kNow) == 3);
  CHECK(twin.reported() == parse(R"({"b":{"c":true,"e":[1,2]}})"));
  CHECK(twin.patch_reported(parse(R"({"b":5})"), kNow) == 4);
  CHECK(twin.patch_reported(parse(R"({"b":{"deep":{"er":1,"gone":null}}})"), kNow) == 5);
  CHECK(twin.device_view() == parse(R"({"desired":{"$version":1},"reported":{"b":{"deep":{"er":1}},"$version":5}})"));
}

TEST_CASE("a conditional change of reported properties wants the version so far") {
  Twin twin;
  const auto refused = twin.patch_reported(parse(R"({"a":1})"), kNow, 7);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().status == 412);
  CHECK(twin.patch_reported(parse(R"({"a":1})"), kNow, 1) == 2);
}

TEST_CASE("a change of desired properties makes a notification, with nulls and the new version") {
  Twin twin;
  CHECK(**twin.patch(desired(R"({"a":1,"b":2})"), kNow) == parse(R"({"a":1,"b":2,"$version":2})"));
  CHECK(**twin.patch(desired(R"({"a":null,"c":{"d":1}})"), kNow) == parse(R"({"a":null,"c":{"d":1},"$version":3})"));
  CHECK(twin.desired() == parse(R"({"b":2,"c":{"d":1}})"));
}

TEST_CASE("a replacement is told as the patch that leads there") {
  Twin twin;
  REQUIRE(twin.patch(desired(R"({"a":1,"b":{"c":1,"d":2},"e":3})"), kNow));
  const auto told = twin.replace(desired(R"({"b":{"c":5},"f":1})"), kNow);
  CHECK(**told == parse(R"({"b":{"c":5,"d":null},"f":1,"a":null,"e":null,"$version":3})"));
  CHECK(twin.desired() == parse(R"({"b":{"c":5},"f":1})"));
}

TEST_CASE(
    "tags change without a notification; every change of the service makes a new ETag, one of the device does not") {
  Twin twin;
  const auto first = twin.etag();
  const auto told = twin.patch(parse(R"({"tags":{"site":"A"}})"), kNow);
  REQUIRE(told);
  CHECK_FALSE(*told);
  CHECK(twin.tags() == parse(R"({"site":"A"})"));
  const auto second = twin.etag();
  CHECK(second != first);
  REQUIRE(twin.patch_reported(parse(R"({"a":1})"), kNow));
  CHECK(twin.etag() == second);
}

TEST_CASE("the service sees when each property was changed last, and with which version") {
  Twin twin;
  REQUIRE(twin.patch(desired(R"({"a":{"b":1}})"), kNow));
  REQUIRE(twin.patch(desired(R"({"c":1})"), kNow + std::chrono::seconds(60)));
  const auto view = twin.service_view();
  const auto& metadata = view.at("desired").at("$metadata");
  CHECK(metadata.at("$lastUpdatedVersion") == 3);
  CHECK(metadata.at("a").at("b").at("$lastUpdatedVersion") == 2);
  CHECK(metadata.at("a").at("b").at("$lastUpdated") == json::value(to_rfc3339(kNow)));
  CHECK(metadata.at("c").at("$lastUpdatedVersion") == 3);
  CHECK(view.at("desired").at("$version") == 3);
}

TEST_CASE("what a client sends back as it got it is no change of its own") {
  Twin twin;
  auto body = desired(R"({"a":1,"$version":9,"$metadata":{"$lastUpdated":"x"}})");
  body["deviceId"] = "d1";
  CHECK(twin.patch(body, kNow));
  CHECK(twin.desired() == parse(R"({"a":1})"));
}

TEST_CASE("a change over the limits is refused whole") {
  Twin twin;
  const auto refused = [&twin](const json::object& patch) {
    const auto result = twin.patch_reported(patch, kNow);
    return !result && result.error().status == 400;
  };
  for (const auto* name : {"a.b", "a$", "a b", "", "a\x01"}) {
    CAPTURE(name);
    CHECK(refused({{"fine", 1}, {name, 1}}));
    CHECK(refused({{"fine", json::object{{name, 1}}}}));
  }
  CHECK(refused({{std::string(1025, 'k'), 1}}));
  CHECK_FALSE(twin_fault({{std::string(1024, 'k'), 1}}));
  CHECK(refused({{"text", std::string(4097, 'x')}}));
  CHECK_FALSE(twin_fault({{"text", std::string(4096, 'x')}}));
  CHECK(refused({{"list", json::array{std::string(4097, 'x')}}}));
  CHECK(refused({{"number", 4'503'599'627'370'496}}));
  CHECK(refused({{"number", -4'503'599'627'370'497}}));
  CHECK_FALSE(twin_fault({{"number", 4'503'599'627'370'495}, {"least", -4'503'599'627'370'496}}));
  CHECK(refused(nested(11)));
  CHECK_FALSE(twin_fault(nested(10)));
  CHECK(twin.reported().empty());
  CHECK(twin.reported_version() == 1);
}

TEST_CASE("the size of a section is names and values, and what counts is the section after the change") {
  CHECK(twin_size(parse(R"({"ab":"xyz","n":1.5,"b":true,"o":{"k":[1,"z"]},"z":null})")) ==
        2 + 3 + 9 + 5 + 1 + 1 + 9 + 1);
  Twin twin;
  const auto chunk = [](const std::string& name) { return json::object{{name, std::string(4096 - 2, 'x')}}; };
  for (int i = 0; i < 8; ++i) CHECK(twin.patch_reported(chunk("r" + std::to_string(i)), kNow));
  CHECK_FALSE(twin.patch_reported({{"x", 1}}, kNow));
  CHECK(twin.patch_reported({{"r0", nullptr}, {"x", 1}}, kNow));

  json::object tags;
  for (const auto* name : {"t0", "t1"}) tags[name] = std::string(4096 - 2, 'x');
  CHECK(twin.patch({{"tags", tags}}, kNow));
  CHECK_FALSE(twin.patch({{"tags", json::object{{"t", 1}}}}, kNow));
  // Nothing of a refused change stays, in no section.
  auto both = desired(R"({"a":1})");
  both["tags"] = json::object{{"t", 1}};
  CHECK_FALSE(twin.patch(both, kNow));
  CHECK(twin.desired().empty());
}
