// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/shaper.h"

#include "gateway/mapping/json_text.h"
#include "tests/support/catch.h"

namespace trunkline {
namespace {

using Kind = Shaper::Verdict::Kind;
using namespace std::chrono_literals;
const SteadyTime kStart{};

struct Device {
  explicit Device(PayloadMap map, Captures own = {})
      : shaper(std::make_shared<const PayloadMap>(std::move(map)), std::move(own)) {}

  // The body that goes up, or "<kind>: reason".
  std::string say(const std::string& body, Captures captures = {}, std::string channel = "t") {
    last.body = body;
    last.properties.clear();
    last.content_type.clear();
    last.device_time.reset();
    last.captures = std::move(captures);
    last.channel = std::move(channel);
    const auto verdict = shaper.take(last, now);
    if (verdict.kind == Kind::forward) return last.body;
    return std::string(verdict.kind == Kind::filtered ? "filtered"
                       : verdict.kind == Kind::held   ? "held"
                                                      : "refused") +
           (verdict.reason.empty() ? "" : ": " + verdict.reason);
  }
  std::string due() {
    auto out = shaper.due(now);
    return out ? out->body : "-";
  }
  Telemetry last{DeviceId::parse("d").value(), "", "", "", {}, "", Source::mqtt};
  SteadyTime now = kStart;
  Shaper shaper;
};

Pick field(std::string name, std::string pointer) {
  return {std::move(name), Pick::From::pointer, std::move(pointer)};
}

}  // namespace

TEST_CASE("an empty map changes nothing, whatever the bytes", "[mapping]") {
  Device device{PayloadMap{}};
  CHECK(device.say("\xff\x00 no JSON") == "\xff\x00 no JSON");
  CHECK(device.last.content_type.empty());
}

TEST_CASE("values are picked, renamed, scaled, and constants added", "[mapping]") {
  PayloadMap map;
  map.fields = {field("power", "/ENERGY/Power"), field("kwh", "/ENERGY/Total"), field("t", "/raw")};
  map.fields[1].factor = 0.001;
  map.fields[2].number = true;
  map.fields[2].factor = 1.8;
  map.fields[2].offset = 32;
  map.fields.push_back({"site", Pick::From::constant, "hall"});
  map.fields.push_back({"relay", Pick::From::capture, "n", true});
  Device device{map};
  CHECK(device.say(R"({"ENERGY":{"Power":46,"Total":1234.5},"raw":"21.5 C","x":1})", {{"n", "2"}}) ==
        R"({"power":46,"kwh":1.2345,"t":70.7,"site":"hall","relay":2})");
  CHECK(device.last.content_type == "application/json");
  CHECK(device.say(R"({"other":1})") == "filtered: no_field");
  CHECK(device.say("{\"ENERGY\":").find("refused: the payload is not JSON") == 0);
  CHECK(device.say("\xff").find("refused: the payload is not valid UTF-8") == 0);
}

TEST_CASE("numbers are written as people write them", "[mapping]") {
  Device device{[] {
    PayloadMap map;
    map.root = "/a";
    return map;
  }()};
  CHECK(device.say(R"({"a":[21.5,-0.001,7,18446744073709551615,"é\n",null,true]})") ==
        R"([21.5,-0.001,7,18446744073709551615,"é\n",null,true])");
  CHECK(device.say(R"({"b":1})") == "filtered: no_root");
}

TEST_CASE("changes are merged into the whole, and null removes", "[mapping]") {
  PayloadMap map;
  map.only = OnlyIf{"/method", {"NotifyStatus"}};
  map.root = "/params";
  map.merge = true;
  map.time = DeviceTime{"/params/ts", DeviceTime::Format::unix_seconds};
  Device device{map};
  CHECK(device.say(R"({"method":"NotifyStatus","params":{"ts":1.5,"switch:0":{"id":0,"output":true}}})") ==
        R"({"ts":1.5,"switch:0":{"id":0,"output":true}})");
  CHECK(device.last.device_time == WallTime(1500ms));
  CHECK(device.say(R"({"method":"NotifyStatus","params":{"switch:0":{"apower":8.9,"id":null}}})") ==
        R"({"ts":1.5,"switch:0":{"output":true,"apower":8.9}})");
  const std::string event = R"({"method":"NotifyEvent","params":{"events":[]}})";
  CHECK(device.say(event) == event);
}

TEST_CASE("single values become one object in a window of time", "[mapping]") {
  PayloadMap map;
  map.name = "{what}";
  map.number = true;
  map.group = 2s;
  map.properties = {{"room", "{id}"}, {"none", "{gone}"}};
  Device device{map, {{"id", "hall"}}};
  CHECK(device.shaper.deadline() == kNever);
  CHECK_FALSE(device.shaper.due(kNever));
  CHECK(device.say("on", {{"what", "relay/0"}}) == "held");
  device.now += 1s;
  CHECK(device.say("46.7", {{"what", "relay/0/power"}}) == "held");
  CHECK(device.due() == "-");
  device.now += 1s;
  CHECK(device.shaper.deadline() == kStart + 2s);
  CHECK(device.due() == R"({"relay.0":"on","relay.0.power":46.7})");
  CHECK(device.due() == "-");
  CHECK(device.say("off", {{"what", "relay/0"}}) == "held");
  CHECK(device.shaper.deadline() == kStart + 4s);
  CHECK(device.last.properties == std::vector<Property>{{"room", "hall"}});
  CHECK(device.say("", {{"what", "x"}}) == "refused: the payload is empty");
}

TEST_CASE("what did not change by more than the dead band is dropped", "[mapping]") {
  PayloadMap map;
  map.change_only = true;
  map.dead_band = 0.5;
  Device device{map};
  CHECK(device.say(R"({"t":20.0,"s":"on"})") == R"({"t":20,"s":"on"})");
  CHECK(device.say(R"({"t":20.4,"s":"on"})") == "filtered: unchanged");
  // Measured from what was sent, so that a slow drift is not lost.
  CHECK(device.say(R"({"t":20.6,"s":"on"})") == R"({"t":20.6,"s":"on"})");
  CHECK(device.say(R"({"t":20.6,"s":"off"})") == R"({"t":20.6,"s":"off"})");
  CHECK(device.say(R"({"t":20.6,"s":"off"})", {}, "other") == R"({"t":20.6,"s":"off"})");
}

TEST_CASE("a rate limit lets one through in its time, of each channel", "[mapping]") {
  PayloadMap map;
  map.every = 10s;
  Device device{map};
  CHECK(device.say("raw\xff") == "raw\xff");
  device.now += 9s;
  CHECK(device.say("2") == "filtered: too_often");
  CHECK(device.say("2", {}, "u") == "2");
  device.now += 1s;
  CHECK(device.say("3") == "3");
}

TEST_CASE("what is remembered of a device is bounded", "[mapping]") {
  PayloadMap map;
  map.merge = true;
  Device device{map};
  std::string refusal;
  for (int i = 0; i < 3000 && refusal.empty(); ++i) {
    const auto said = device.say("{\"k" + std::to_string(i) + "\":\"" + std::string(50, 'x') + "\"}");
    if (said.find("refused") == 0) refusal = said;
  }
  CHECK(refusal.find("grew too large") != std::string::npos);
}

TEST_CASE("times are read with their zone, or not believed", "[mapping]") {
  const auto at = [](std::string_view text, bool utc = false) -> std::int64_t {
    const auto time = parse_iso8601(text, utc);
    return time ? std::chrono::duration_cast<Milliseconds>(time->time_since_epoch()).count() : -1;
  };
  CHECK(at("2024-05-01T12:00:00Z") == 1714564800000);
  CHECK(at("2024-05-01 14:00:00.250+02:00") == 1714564800250);
  CHECK(at("2024-05-01T12:00:00+0000") == 1714564800000);
  CHECK(at("2024-05-01T12:00:00") == -1);
  CHECK(at("2024-05-01T12:00:00", true) == 1714564800000);
  CHECK(at("2024-02-30T12:00:00Z") == -1);
  CHECK(at("2024-05-01T25:00:00Z") == -1);
  CHECK(at("2024-05-01T12:00:00Zx") == -1);
  CHECK(at("yesterday") == -1);
  CHECK(leading_number(" +21.5 C") == 21.5);
  CHECK_FALSE(leading_number("C 21"));
  CHECK_FALSE(leading_number("inf"));
}

}  // namespace trunkline
