// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdio>
#include <string>

#include "gateway/mapping/shaper.h"
#include "gateway/mapping/topic_matcher.h"

// What a payload map and a topic lookup cost for each message, on one core. Numbers are never a verdict.
namespace {

using namespace trunkline;

constexpr int kMessages = 200'000;

template <class F>
void measure(const char* what, F&& once) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kMessages; ++i) once(i);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  std::printf("%-44s %6.2f us a message\n", what, took.count() / kMessages);
}

void shape(const char* what, PayloadMap map) {
  Shaper shaper(std::make_shared<const PayloadMap>(std::move(map)), {{"topic", "kitchen"}});
  const std::string body =
      R"({"Time":"2024-05-01T12:00:00","ENERGY":{"TotalStartTime":"2023-01-01T00:00:00",)"
      R"("Total":1.185,"Yesterday":0.002,"Power":46,"Factor":0.61,"Voltage":231,"Current":0.323}})";
  const auto device = DeviceId::parse("plug-kitchen").value();
  measure(what, [&](int) {
    Telemetry telemetry{device, body, "", "", {}, "", Source::mqtt};
    telemetry.channel = "tele/kitchen/SENSOR";
    static_cast<void>(shaper.take(telemetry, {}));
  });
}

}  // namespace

int main() {
  for (const int devices : {1, 1000}) {
    TopicMatcher topics;
    for (int i = 0; i < devices; ++i) {
      topics.add(TopicPattern::parse("tele/d" + std::to_string(i) + "/SENSOR").value(), static_cast<std::size_t>(i));
    }
    measure(devices == 1 ? "topic lookup, 1 device" : "topic lookup, 1000 devices",
            [&](int i) { static_cast<void>(topics.find("tele/d" + std::to_string(i % devices) + "/SENSOR")); });
  }
  shape("no map (bytes untouched), 200 B", {});
  PayloadMap picks;
  picks.fields = {{"power", Pick::From::pointer, "/ENERGY/Power"},
                  {"kwh", Pick::From::pointer, "/ENERGY/Total", false, 0.001}};
  shape("two picks with a factor, 200 B", picks);
  PayloadMap merge;
  merge.merge = true;
  shape("merge into the whole, 200 B", merge);
  PayloadMap change;
  change.change_only = true;
  shape("change only, 200 B", change);
  return 0;
}
