// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/connect.h"
#include "tests/component/hub/rig.h"

using namespace trunkline;
using namespace trunkline::tests;
using Kind = LinkFault::Kind;

namespace {

bool wait_lost(Rig& rig, std::size_t count = 1) {
  return rig.until([&] { return rig.lost.size() == count; });
}

}  // namespace

TEST_CASE("a lost connection ends everything of its epoch, and a new one works", "[R-01]") {
  Rig rig;
  rig.connect();
  const auto slot = rig.add("d");
  rig.online(slot);
  rig.control(R"({"op":"withhold","on":true})");
  REQUIRE(rig.send(slot, "unsettled") == Uplink::SendResult::sent);
  REQUIRE(rig.until([&] { return rig.server->arrival_count("d") == 1; }));
  SECTION("dropped by the peer's TCP") {
    rig.control(R"({"op":"drop","how":"tcp"})");
    REQUIRE(wait_lost(rig));
    CHECK(rig.lost[0].condition == "trunkline:io");
  }
  SECTION("reset") {
    rig.control(R"({"op":"drop","how":"rst"})");
    REQUIRE(wait_lost(rig));
    CHECK(rig.lost[0].condition == "trunkline:io");
  }
  SECTION("closed by the hub") {
    rig.control(R"({"op":"drop","how":"close","condition":"amqp:connection:forced","description":"upgrade"})");
    REQUIRE(wait_lost(rig));
    CHECK(rig.lost[0].condition == "amqp:connection:forced");
    CHECK(rig.lost[0].description == "upgrade");
  }
  CHECK(rig.lost[0].kind == Kind::transport);
  CHECK(rig.events(slot).outcomes.empty());
  CHECK(rig.events(slot).detached.empty());
  CHECK(rig.link->send(slot, rig.reading(slot, "x")) == Uplink::SendResult::detached);
  rig.control(R"({"op":"withhold","on":false})");

  rig.connect();
  rig.events(slot).authorised = 0;
  rig.online(slot);
  REQUIRE(rig.send(slot, "again") == Uplink::SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == 1; }));
  CHECK(rig.lost.size() == 1);
}

TEST_CASE("a new attempt may begin within on_lost") {
  Rig rig;
  rig.connect();
  rig.when_lost = [&] { rig.link->open(); };
  rig.control(R"({"op":"drop","how":"tcp"})");
  REQUIRE(rig.until([&] { return rig.ready == 2; }));
  CHECK(rig.server->connections_ever() == 2);
}

TEST_CASE("a hub that is not there is a lost attempt") {
  Rig rig;
  rig.control(R"({"op":"listen","mode":"refuse"})");
  rig.link->open();
  CHECK(rig.lost.empty());
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::transport);
  rig.control(R"({"op":"listen","mode":"accept"})");
  rig.connect();
}

TEST_CASE("a hub that accepts and says nothing is left at the limit", "[R-01]") {
  Rig rig([](auto& options) { options.handshake_timeout = Milliseconds(200); });
  rig.control(R"({"op":"listen","mode":"silent"})");
  rig.link->open();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::timeout);
}

TEST_CASE("a hub of another name or another authority is refused", "[I-02]") {
  Rig rig([](auto& options) { options.host = "other.example.net"; });
  rig.link->open();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].description.find("ertificate") != std::string::npos);
}

TEST_CASE("a CA file that cannot be read is a lost attempt that names it") {
  Rig rig([](auto& options) { options.ca_file = "/nowhere/ca.pem"; });
  rig.link->open();
  CHECK(rig.lost.empty());
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].description.find("/nowhere/ca.pem") != std::string::npos);
}

TEST_CASE("close ends the connection in order") {
  Rig rig;
  rig.connect();
  rig.link->close();
  CHECK(rig.lost.empty());
  const auto begin = rig.clock.steady();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::stopped);
  CHECK(rig.clock.steady() - begin < std::chrono::seconds(2));
}

TEST_CASE("close ends an attempt, and a hub that does not answer any more, in time") {
  Rig rig;
  bool waits = false;
  SECTION("during the attempt") {
    rig.control(R"({"op":"listen","mode":"silent"})");
    rig.link->open();
  }
  SECTION("when the hub stopped reading") {
    rig.connect();
    rig.control(R"({"op":"reading","on":false})");
    rig.authorise(rig.add("d"));  // the last thing that the simulator reads
    REQUIRE(rig.until([&] { return rig.events({0}).authorised == 1; }));
    waits = true;
  }
  rig.link->close();
  const auto begin = rig.clock.steady();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::stopped);
  const auto took = rig.clock.steady() - begin;
  CHECK(took < std::chrono::seconds(2));
  CHECK((took > std::chrono::seconds(1)) == waits);
}

TEST_CASE("a link that is destroyed while connected or connecting leaves nothing behind") {
  Rig rig;
  SECTION("connected") {
    rig.connect();
    const auto slot = rig.add("d");
    rig.online(slot);
    rig.send(slot, "x");
  }
  SECTION("connecting") {
    rig.link->open();
  }
  SECTION("losing") {
    rig.connect();
    rig.control(R"({"op":"drop","how":"rst"})");
    rig.link->close();
  }
  rig.link.reset();
  rig.run_for(std::chrono::milliseconds(50));
  CHECK(rig.lost.empty());
}
