// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/log.h"

#include <set>
#include <string>
#include <vector>

#include "gateway/base/log_limit.h"
#include "tests/support/catch.h"

namespace trunkline::log {

using namespace std::chrono_literals;

TEST_CASE("a line is its event and key=value pairs", "[base]") {
  CHECK(format_line("uplink_connected", {}) == "uplink_connected");
  CHECK(format_line("uplink_lost", {{"device", "dev-1"}, {"attempt", 3}, {"retry", true}}) ==
        "uplink_lost device=dev-1 attempt=3 retry=true");
}

TEST_CASE("a value from outside cannot break its line or pretend to be another field", "[base]") {
  const auto line = format_line("e", {{"peer", "a b=\"c\"\nd\x1b[0m\\"}, {"empty", ""}});
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find('\x1b') == std::string::npos);
  CHECK(line.find("peer=\"") != std::string::npos);
  CHECK(line.find(" empty=\"\"") != std::string::npos);
  CHECK(format_line("e", {{"k", "x=y"}}) == "e k=\"x=y\"");
}

TEST_CASE("a value is cut at its bound", "[base]") {
  const auto line = format_line("e", {{"k", std::string(10'000, 'x')}});
  CHECK(line.size() < 300);
  CHECK(line.size() > 256);
}

// The lines of the adapters with the limits that they keep themselves, as often as these let them through.
TEST_CASE("24 hours of adapters without their peers: less than 5 MB of log, and each device is named", "[S-01][R-01]") {
  auto now = SteadyTime{} + 1h;
  const auto end = now + 24h;
  std::uint64_t bytes = 0;
  std::set<std::string> named;
  std::string device;
  log::redirect({[&](log::Level, const std::string& line) {
                   bytes += line.size() + 1;
                   if (line.starts_with("dial_failed")) named.insert(device);
                 },
                 [&now] { return now; }});
  std::vector<LogLimit> dials(500);
  std::vector<LogLimit> brokers(3, LogLimit(60s));
  std::uint64_t lines = 0;
  for (; now < end; now += 30s) {
    for (std::size_t i = 0; i < dials.size(); ++i) {
      const auto suppressed = dials[i].allow(now);
      if (!suppressed) continue;
      device = "meter-" + std::to_string(i);
      log::warning("dial_failed", {{"adapter", "tcp"},
                                   {"device", device},
                                   {"error", "10.0.17.12:4001: Connection refused; nothing listens on that port there"},
                                   {"suppressed", *suppressed}});
      ++lines;
    }
    for (std::size_t i = 0; i < brokers.size(); ++i) {
      const auto suppressed = brokers[i].allow(now);
      if (!suppressed) continue;
      log::warning("broker_unreachable", {{"adapter", "mqtt-" + std::to_string(i)},
                                          {"peer", "mqtts://broker.example:8883"},
                                          {"error", "Connection refused; nothing listens on that port there"},
                                          {"suppressed", *suppressed}});
      ++lines;
    }
    // A DTLS device with a wrong key, and one whose cable is loose.
    for (int i = 0; i < 30; ++i) {
      log::warning("device_handshake_refused",
                   {{"adapter", "coap"}, {"device", "tank-3"}, {"peer", "10.0.17.99:49152"}});
      log::info(i % 2 == 0 ? "device_connected" : "device_disconnected",
                {{"adapter", "tcp"}, {"device", "scale-2"}, {"peer", "10.0.17.98:40000"}});
    }
  }
  log::redirect({});
  WARN(lines << " lines asked for, " << bytes << " bytes written");
  CHECK(lines > 1'000'000);
  CHECK(bytes < 5'000'000);
  CHECK(named.size() == dials.size());
}

}  // namespace trunkline::log
