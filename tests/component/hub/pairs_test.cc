// SPDX-License-Identifier: Apache-2.0
// Method and twin links, which come as pairs, and hubs of another dialect.
#include "gateway/hub/dialect.h"
#include "tests/component/hub/odd_rig.h"

using namespace trunkline;
using namespace trunkline::tests;
using Kind = LinkFault::Kind;

namespace {

std::string pair_id(const OddHub::Attached& attached) {
  return proton::get<std::string>(attached.properties.at("com.microsoft:channel-correlation-id"));
}

std::uint64_t value(const Metrics& metrics, const std::string& name) {
  for (const auto& [metric, value] : metrics.values()) {
    if (metric == name) return value;
  }
  return 0;
}

const std::pair<DeviceLink, std::string> kPairs[] = {{DeviceLink::methods, "/devices/d/methods/devicebound"},
                                                     {DeviceLink::twin, "/devices/d/twin"}};

}  // namespace

TEST_CASE("a pair is attached as the hub wants pairs") {
  OddRig rig;
  rig.connect();
  for (const auto& [which, address] : kPairs) {
    rig.online(rig.slot, which);
    const auto& out = rig.hub.attached.at(address + "/out");
    const auto& in = rig.hub.attached.at(address + "/in");
    const auto prefix = std::string(to_string(which)) + ":";
    CHECK(pair_id(out).rfind(prefix, 0) == 0);
    CHECK(pair_id(out).size() == prefix.size() + 36);
    CHECK(pair_id(out) == pair_id(in));
    for (const auto& attached : {out, in}) {
      CHECK(attached.properties.contains("com.microsoft:api-version"));
      CHECK(attached.properties.contains("com.microsoft:client-version"));
      CHECK(pn_link_remote_snd_settle_mode(attached.link) == PN_SND_SETTLED);
      CHECK(pn_link_remote_rcv_settle_mode(attached.link) == PN_RCV_FIRST);
    }
  }
  CHECK(pair_id(rig.hub.attached.at("/devices/d/twin/in")).substr(5) !=
        pair_id(rig.hub.attached.at("/devices/d/methods/devicebound/in")).substr(8));
}

TEST_CASE("what comes on a pair and cannot be read is dropped, counted, and credited again") {
  OddRig rig;
  rig.connect();
  rig.online(rig.slot, DeviceLink::methods);
  constexpr std::uint64_t kRequests = 35;  // more than the window
  auto* link = rig.hub.attached.at("/devices/d/methods/devicebound/in").link;
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    REQUIRE(rig.until([&] { return pn_link_credit(link) > 0; }));
    CHECK(pn_link_credit(link) <= 10);
    rig.hub.send("/devices/d/methods/devicebound", "{}");
  }
  REQUIRE(rig.until([&] { return value(rig.metrics, "uplink_requests_malformed_total") == kRequests; }));
  CHECK(rig.events(rig.slot).commands.empty());
  CHECK(rig.lost.empty());
}

TEST_CASE("a pair of which one link is refused was never attached, and is told about once", "[I-01]") {
  OddRig rig;
  rig.hub.refuse_sender_at = "/devices/d/twin";
  rig.connect();
  rig.authorise(rig.slot);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).authorised == 1; }));
  rig.link->attach(rig.slot, DeviceLink::twin);
  REQUIRE(rig.until([&] { return !rig.events(rig.slot).detached.empty(); }));
  rig.hub.refuse_sender_at.clear();
  rig.online(rig.slot, DeviceLink::twin);
  CHECK(rig.events(rig.slot).attached[DeviceLink::twin] == 1);
  REQUIRE(rig.events(rig.slot).detached.size() == 1);
  CHECK(rig.events(rig.slot).detached[0].first == DeviceLink::twin);
  CHECK(rig.events(rig.slot).detached[0].second.kind == Kind::unauthorised);
}

TEST_CASE("a pair ends as one when the hub detaches either link", "[I-01]") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  for (const auto which : {DeviceLink::telemetry, DeviceLink::commands, DeviceLink::methods, DeviceLink::twin}) {
    rig.online(slot, which);
  }
  for (int round = 1; round <= 3; ++round) {
    // The simulator detaches both; whichever comes first ends the pair, and the second means nothing.
    rig.control(R"({"op":"detach","device":"d","link":"methods"})");
    REQUIRE(rig.until([&] { return rig.events(slot).detached.size() == static_cast<std::size_t>(round); }));
    CHECK(rig.events(slot).detached.back().first == DeviceLink::methods);
    rig.online(slot, DeviceLink::methods);
  }
  CHECK(rig.events(slot).detached.size() == 3);
  rig.control(R"({"op":"end_session","device":"d"})");
  REQUIRE(rig.until([&] { return rig.events(slot).detached.size() == 7; }));
  rig.online(slot);
  CHECK(rig.send(slot, "x") == Uplink::SendResult::sent);
}

TEST_CASE("a hub of another dialect is spoken to by its table") {
  static constexpr hub::Dialect kPlain{
      .sasl = hub::Dialect::Sasl::anonymous,
      .links = {hub::LinkShape{.link = DeviceLink::telemetry, .node = "up/{device}", .sends = true},
                hub::LinkShape{.link = DeviceLink::commands, .node = "down/{device}", .receives = true},
                hub::LinkShape{.link = DeviceLink::methods, .node = "rpc", .sends = true, .receives = true},
                hub::LinkShape{.link = DeviceLink::twin, .node = "state", .sends = true, .receives = true}},
  };
  OddRig rig([](auto& options) { options.dialect = &kPlain; });
  rig.connect();
  rig.online(rig.slot);
  REQUIRE(rig.send(rig.slot, "hello") == Uplink::SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(rig.slot).outcomes.size() == 1; }));
  CHECK(rig.hub.attached.size() == 1);  // no $cbs
  CHECK(rig.hub.attached.at("up/d/out").properties.empty());
}
