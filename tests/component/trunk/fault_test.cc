// SPDX-License-Identifier: Apache-2.0
// Every fault of the hub's side against the whole trunk, under load: afterwards it works again without help, nothing is
// lost, order is kept, and the counters tell what happened. TRUNKLINE_LONG=1 runs the long faults at full length.
#include <string>

#include "tests/component/trunk/trunk_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

constexpr unsigned kDevices = 20;

// Twenty devices that say something every 50 ms, all the time.
class Load {
 public:
  explicit Load(Multiplexer::Options options = TrunkRig::multiplexer(),
                const std::function<void(hub::HubLink::Options&)>& adjust = {})
      : driver(link(adjust), options, rig.directory) {
    for (const auto& name : rig.names) slots.push_back(driver.add(name, {.commands = true}, Presence::reachable));
    driver.every(50ms, [this] { say(); });
    REQUIRE(driver.until([&] { return driver.accepted() >= 3ull * kDevices; }));
  }

  // It recovers by itself: what is said from now on arrives, and everything before it.
  void recover(std::chrono::milliseconds limit = 60s) {
    const auto mark = driver.said() + kDevices;
    REQUIRE(driver.until([&] { return driver.said() >= mark; }));
    INFO("said " << driver.said() << ", accepted " << driver.accepted());
    REQUIRE(driver.until([&] { return driver.accepted() >= mark; }, limit));
    finish();
  }
  // Quiet, everything settled, nothing lost.
  void finish() {
    driver.every(0ms, nullptr);
    REQUIRE(driver.until([&] { return driver.accepted() == driver.said(); }, 60s));
    REQUIRE(driver.rejected() == 0);
    rig.check_arrivals(driver);
  }
  // No device but this one noticed anything.
  void others_unhurt(DeviceSlot bad) {
    REQUIRE(rig.hub->connections_ever() == 1);
    for (const auto slot : slots) {
      if (slot == bad) continue;
      INFO(driver.name(slot));
      REQUIRE(driver.status(slot).fault.empty());
    }
  }
  std::uint64_t detaches() { return driver.count("device_detaches_total"); }

  TrunkRig rig{kDevices};
  TrunkDriver driver;
  std::vector<DeviceSlot> slots;

 private:
  hub::HubLink::Options link(const std::function<void(hub::HubLink::Options&)>& adjust) const {
    auto out = rig.link();
    if (adjust) adjust(out);
    return out;
  }
  void say() {
    for (const auto slot : slots) driver.say(slot, std::to_string(driver.said(slot) + 1));
  }
};

Multiplexer::Options impatient() {
  auto out = TrunkRig::multiplexer();
  out.stall_limit = 2s;
  out.quarantine_floor = 1s;
  out.quarantine_cap = 2s;
  return out;
}

void quick_put_tokens(hub::HubLink::Options& options) {
  options.put_token_timeout = 1s;
  options.handshake_timeout = 3s;
}

}  // namespace

TEST_CASE("a dropped connection is opened again and what was unsettled is sent again, in order", "[R-01][D-02][D-03]") {
  for (const std::string how : {"close", "tcp", "rst"}) {
    INFO(how);
    Load load;
    load.rig.ask(R"({"op":"drop","how":")" + how + "\"}");
    load.recover();
    REQUIRE(load.driver.count("uplink_losses_total") == 1);
    REQUIRE(load.driver.count("uplink_connections_total") == 2);
  }
}

TEST_CASE("a black hole is noticed by its silence", "[R-01][D-02]") {
  const auto length = long_form() ? 60s : 4s;
  Load load(TrunkRig::multiplexer(), [&](hub::HubLink::Options& options) {
    options.idle_timeout = long_form() ? 60s : 2s;
    options.handshake_timeout = 2s;
  });
  load.rig.ask(R"({"op":"blackhole","for_ms":)" + std::to_string(std::chrono::milliseconds(length).count()) + "}");
  load.driver.run_for(length);
  load.recover();
  REQUIRE(load.driver.count("uplink_losses_total") >= 1);
}

TEST_CASE("a hub that reads nothing is a stall of the connection, which is rebuilt", "[R-01][D-02]") {
  Load load(impatient());
  load.rig.ask(R"({"op":"reading","on":false})");
  REQUIRE(load.driver.until([&] { return load.driver.count("uplink_stalls_total") >= 1; }));
  load.rig.ask(R"({"op":"reading","on":true})");
  load.recover();
}

TEST_CASE("zero credit is waited out without touching a link", "[R-01]") {
  Load load(impatient());
  const auto detaches = load.detaches();
  load.rig.ask(R"({"op":"credit","zero":true})");
  load.driver.run_for(long_form() ? 180s : 5s);
  load.rig.ask(R"({"op":"credit","zero":false})");
  load.recover();
  REQUIRE(load.detaches() == detaches);
  REQUIRE(load.rig.hub->connections_ever() == 1);
}

TEST_CASE("a link that is detached, whatever the condition, is a matter of that device", "[I-01][R-01][D-03]") {
  for (const std::string condition :
       {"amqp:internal-error", "amqp:unauthorized-access", "amqp:resource-limit-exceeded", "amqp:resource-locked",
        "amqp:illegal-state", "amqp:link:detach-forced", "amqp:link:transfer-limit-exceeded", "com.microsoft:timeout",
        "com.microsoft:server-busy", "com.microsoft:device-container-throttled", "com.microsoft:message-lock-lost",
        "com.microsoft:link-creation-conflict", "amqp:link:stolen", "amqp:not-found", "example:unheard-of"}) {
    INFO(condition);
    // Throttles ask for 10 s unless the hub says how long.
    Load load(impatient());
    const auto bad = load.slots[3];
    load.rig.ask(R"({"op":"detach","device":")" + load.driver.name(bad) + R"(","condition":")" + condition +
                 R"(","description":"a test"})");
    REQUIRE(load.driver.until([&] { return load.detaches() == 1; }));
    REQUIRE(load.driver.until([&] { return load.driver.status(bad).state != SessionState::ready; }));
    load.others_unhurt(bad);
    load.recover();
    load.others_unhurt(bad);
  }
}

TEST_CASE("an ended session is a matter of that device", "[I-01][R-01][D-03]") {
  Load load;
  const auto bad = load.slots[7];
  load.rig.ask(R"({"op":"end_session","device":")" + load.driver.name(bad) +
               R"(","condition":"amqp:session:window-violation","description":"a test"})");
  REQUIRE(load.driver.until([&] { return load.detaches() >= 1; }));
  load.recover();
  load.others_unhurt(bad);
}

TEST_CASE("a refused token puts its device aside and no other one", "[I-01][R-01]") {
  Load load(impatient());
  const auto bad = load.slots[5];
  load.rig.ask(R"({"op":"refuse_token","device":")" + load.driver.name(bad) + R"(","status":401})");
  load.rig.ask(R"({"op":"expire_tokens","device":")" + load.driver.name(bad) + "\"}");
  REQUIRE(load.driver.until([&] { return load.driver.status(bad).state == SessionState::quarantined; }));
  load.others_unhurt(bad);
  load.rig.ask(R"({"op":"refuse_token","device":")" + load.driver.name(bad) + R"(","status":0})");
  load.recover();
  load.others_unhurt(bad);
  REQUIRE(load.driver.count("device_refusals_total") >= 1);
}

TEST_CASE("late answers to put-token delay, they do not hurt", "[R-01]") {
  Load load;
  load.rig.ask(R"({"op":"cbs","mode":"delay","delay_ms":700})");
  load.rig.ask(R"({"op":"drop","how":"tcp"})");
  load.recover();
  REQUIRE(load.driver.count("uplink_connections_total") == 2);
}

TEST_CASE("put-tokens that are never answered end the connection, until they are answered again", "[R-01]") {
  Load load(impatient(), quick_put_tokens);
  load.rig.ask(R"({"op":"cbs","mode":"never"})");
  load.rig.ask(R"({"op":"drop","how":"tcp"})");
  REQUIRE(load.driver.until([&] { return load.driver.count("uplink_losses_total") >= 2; }));
  load.rig.ask(R"({"op":"cbs","mode":"normal"})");
  load.recover();
}

TEST_CASE("a device that is never settled climbs to quarantine; the others keep their connection", "[R-01][I-01]") {
  Load load(impatient());
  const auto bad = load.slots[11];
  load.rig.ask(R"({"op":"withhold","device":")" + load.driver.name(bad) + R"(","on":true})");
  REQUIRE(load.driver.until([&] { return load.driver.status(bad).state == SessionState::quarantined; }));
  REQUIRE(load.driver.count("device_stalls_total") == 3);
  REQUIRE(load.driver.count("uplink_stalls_total") == 0);
  load.others_unhurt(bad);
  load.rig.ask(R"({"op":"withhold","device":")" + load.driver.name(bad) + R"(","on":false})");
  load.recover();
  load.others_unhurt(bad);
}

TEST_CASE("a redirect within the domain is followed", "[R-01]") {
  Load load;
  const auto status = load.rig.hub->addresses();
  REQUIRE(status.size() == 2);
  const auto port = status[1].substr(status[1].rfind(':') + 1);
  load.rig.ask(R"({"op":"redirect","hostname":"contoso.example.net","network_host":"127.0.0.1","port":)" + port + "}");
  load.rig.ask(R"({"op":"drop","how":"tcp"})");
  load.recover();
}

TEST_CASE("a throttle on sending slows the gateway down and loses nothing", "[R-01][D-04]") {
  Load load;
  load.rig.ask(R"({"op":"limits","sends_per_s":200,"retry_after_ms":300})");
  REQUIRE(load.driver.until([&] { return load.driver.count("uplink_throttled_total") > 0; }));
  REQUIRE(load.driver.until([&] { return load.driver.status().throttled; }));
  load.driver.run_for(3s);
  load.rig.ask(R"({"op":"limits","sends_per_s":0})");
  load.recover();
}

TEST_CASE("a throttle on attach and on put-token is waited out", "[R-01]") {
  for (const std::string what : {"attaches_per_s", "tokens_per_s"}) {
    INFO(what);
    Load load;
    load.rig.ask(R"({"op":"limits",")" + what + R"(":5,"retry_after_ms":200})");
    load.rig.ask(R"({"op":"drop","how":"tcp"})");
    REQUIRE(load.driver.until([&] { return load.driver.count("uplink_throttled_total") > 0; }));
    load.recover();
    REQUIRE(load.driver.count("uplink_connections_total") == 2);
  }
}

TEST_CASE("a hub that refuses connections is tried again until it is back", "[R-01][D-02]") {
  Load load;
  load.rig.ask(R"({"op":"listen","mode":"refuse"})");
  load.rig.ask(R"({"op":"drop","how":"tcp"})");
  load.driver.run_for(long_form() ? 120s : 3s);
  REQUIRE_FALSE(load.driver.status().connected());
  load.rig.ask(R"({"op":"listen","mode":"accept"})");
  load.recover();
}

TEST_CASE("a hub that accepts and says nothing runs into the handshake watchdog", "[R-01]") {
  Load load(TrunkRig::multiplexer(), quick_put_tokens);
  load.rig.ask(R"({"op":"listen","mode":"silent"})");
  load.rig.ask(R"({"op":"drop","how":"tcp"})");
  REQUIRE(load.driver.until([&] { return load.driver.count("uplink_losses_total") >= 2; }));
  load.rig.ask(R"({"op":"listen","mode":"accept"})");
  load.recover();
}
