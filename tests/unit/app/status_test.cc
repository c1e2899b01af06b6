// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/status.h"

#include <chrono>

#include "gateway/base/json.h"
#include "tests/support/catch.h"

namespace trunkline::app {
namespace {

using Level = Verdict::Level;
using namespace std::chrono_literals;

// One device, one connection, all well.
struct Gateway {
  Gateway() {
    settings.file = "/etc/trunkline/trunkline.toml";
    settings.hub.host = "hub.example";
    snapshot.store.emplace();
    snapshot.uplink.emplace();
    snapshot.uplink->connections.push_back({Trunk::State::open, 1, "", kNever, 1, 0});
    snapshot.uplink->healthy = true;
    snapshot.uplink->devices.push_back({DeviceId::parse("scale-2").value(), SessionState::ready, Presence::reachable, 7,
                                        0, "", std::nullopt, kNever, 0, KeyChoice::primary, kNever});
    snapshot.room_bytes = 1000;
    snapshot.adapters.push_back({"tcp", true, "1 listener", {}});
  }
  // The verdict, which must come with something to do unless all is well.
  Verdict judged(Level level) const {
    auto verdict = judge(snapshot, settings);
    CHECK(verdict.level == level);
    if (level != Level::ok) {
      CHECK(!verdict.reason.empty());
      CHECK(!verdict.action.empty());
    }
    return verdict;
  }
  Snapshot snapshot;
  config::Settings settings;
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a gateway that is well says so and nothing else", "[status]") {
  const auto verdict = Gateway().judged(Level::ok);
  CHECK(verdict.reason.empty());
  CHECK(verdict.action.empty());
}

TEST_CASE("a gateway without devices is well, and says how to get the first one", "[status]") {
  Gateway gateway;
  gateway.snapshot.uplink->devices.clear();
  gateway.snapshot.uplink->connections[0].state = Trunk::State::closed;
  const auto verdict = gateway.judged(Level::ok);
  CHECK(verdict.reason == "no devices yet");
  CHECK(has(verdict.action, "/etc/trunkline/devices.d"));
  CHECK(has(verdict.action, "trunkline identity add"));
}

TEST_CASE("threads that do not answer and a disk that does not write are failures, before all else", "[status]") {
  Gateway gateway;
  gateway.snapshot.store->fault = "disk full";
  gateway.snapshot.adapters[0].healthy = false;
  CHECK(has(gateway.judged(Level::failed).reason, "disk full"));
  gateway.snapshot.store.reset();
  CHECK(has(gateway.judged(Level::failed).reason, "store thread"));
  Gateway silent;
  silent.snapshot.uplink.reset();
  CHECK(has(silent.judged(Level::failed).reason, "hub thread"));
  Gateway stalled;
  stalled.snapshot.uplink->healthy = false;
  CHECK(has(stalled.judged(Level::failed).reason, "settles nothing"));
}

TEST_CASE("a spool that fills up is said before it is full", "[status]") {
  Gateway gateway;
  gateway.snapshot.used_bytes = 799;
  static_cast<void>(gateway.judged(Level::ok));
  gateway.snapshot.used_bytes = 853;
  CHECK(has(gateway.judged(Level::degraded).reason, "85 % full"));
  gateway.snapshot.used_bytes = 990;
  CHECK(has(gateway.judged(Level::degraded).reason, "devices are held back"));
}

TEST_CASE("what stands outside is named with its reason", "[status]") {
  Gateway gateway;
  gateway.snapshot.uplink->throttled = true;
  CHECK(has(gateway.judged(Level::degraded).reason, "throttles"));
  gateway.snapshot.uplink->connections[0] = {Trunk::State::waiting, 1, "connection refused", kNever, 1, 0};
  CHECK(has(gateway.judged(Level::degraded).reason, "no connection to hub.example: connection refused"));
  gateway.snapshot.clock_behind = 61min;
  CHECK(has(gateway.judged(Level::degraded).reason, "61 min behind"));
  gateway.snapshot.adapters.push_back({"mqtt", false, "bad user name or password", {}});
  CHECK(has(gateway.judged(Level::degraded).reason, "mqtt: bad user name or password"));
}

TEST_CASE("a device in trouble is named with the step that helps it", "[status][I-01]") {
  Gateway gateway;
  auto& device = gateway.snapshot.uplink->devices[0];
  device.state = SessionState::quarantined;
  device.fault = "401";
  device.fault_kind = LinkFault::Kind::unauthorised;
  CHECK(has(gateway.judged(Level::degraded).action, "trunkline identity add scale-2"));
  device.fault_kind = LinkFault::Kind::not_found;
  CHECK(has(gateway.judged(Level::degraded).action, "register scale-2"));
  device.fault_kind = LinkFault::Kind::taken_over;
  CHECK(has(gateway.judged(Level::degraded).action, "stop the other client"));
  device.fault_kind = LinkFault::Kind::timeout;
  CHECK(has(gateway.judged(Level::degraded).action, "never answers"));
}

TEST_CASE("the time until the spool is full and until it is drained follow from what comes and goes",
          "[status][D-06]") {
  Gateway gateway;
  gateway.snapshot.used_bytes = 400;
  auto& store = *gateway.snapshot.store;
  store.depth.messages = 4;
  store.depth.bytes = 300;
  const auto safety = [&gateway] {
    const auto text = to_json(gateway.snapshot, gateway.settings, SteadyTime{} + 1h, WallTime{});
    return json::parse(text).at("safety").as_object();
  };
  CHECK(safety()["full_in_s"].is_null());
  CHECK(safety()["drained_in_s"].is_null());
  store.inflow = 10;
  CHECK(safety()["full_in_s"] == 60);
  CHECK(safety()["drained_in_s"].is_null());  // it grows
  store.outflow = 40;
  CHECK(safety()["drained_in_s"] == 10);
  store.depth.messages = 0;
  CHECK(safety()["drained_in_s"].is_null());
}

}  // namespace trunkline::app
