// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/hub_loop.h"

#include <future>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_uplink.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

class FakeAdapter final : public Adapter {
 public:
  [[nodiscard]] std::string_view name() const override { return "fake"; }
  Result<void> start(Ingress&) override { return {}; }
  void deliver(Command, Completion<Outcome> done) override { done(Outcome::accepted()); }
  void change(DeviceChanges, std::function<void(Result<void>)> done) override { done({}); }
  void stop(SteadyTime) override {}
  [[nodiscard]] AdapterStatus status() const override { return {}; }
};

// The hub's thread of a gateway whose hub is not there.
struct Thread {
  Thread() {
    store.start();
    loop.start();
  }
  ~Thread() {
    loop.stop(clock.steady());
    store.stop();
  }
  static hub::HubLink::Options link() {
    hub::HubLink::Options out;
    out.host = "hub.example";
    out.address = *net::Endpoint::parse("127.0.0.1:1");
    out.gateway_id = out.spool_uuid = "test";
    return out;
  }
  app::HubLoop::Mapped mapped(bool methods) {
    SessionOptions options;
    options.commands = true;
    options.methods = methods;
    return {device_id("a"), options, &adapter};
  }
  // Runs it on the hub's thread, behind all that was posted there.
  app::HubLoop::Status status() {
    std::promise<app::HubLoop::Status> told;
    loop.status([&](const app::HubLoop::Status& now) { told.set_value(now); });
    return told.get_future().get();
  }
  void change(std::vector<app::HubLoop::Mapped> devices) {
    std::promise<void> done;
    loop.change(std::move(devices), [&] { done.set_value(); });
    done.get_future().get();
  }

  StoreRig rig;
  SystemClock clock;
  LiveFeed live;
  FakeTokens tokens;
  FakeAdapter adapter;
  StoreThread store{*rig.store, *rig.capacity, clock, [](ReadAnswer) {}};
  app::HubLoop loop{{clock, rig.metrics, store, live, *rig.capacity, tokens}, link(), {}, {}, 7};
};

}  // namespace

TEST_CASE("a device that is mapped again while it leaves, as when a reload is taken back at once, stays", "[R-01]") {
  Thread thread;
  thread.change({thread.mapped(false)});
  std::promise<void> go;
  thread.loop.post([&go] { go.get_future().wait(); });
  thread.loop.retire({device_id("a")});
  std::promise<void> done;
  thread.loop.change({thread.mapped(false)}, [&done] { done.set_value(); });
  go.set_value();
  done.get_future().get();
  for (int look = 0; look < 3; ++look) {
    REQUIRE(thread.status().trunk.devices.size() == 1);
  }
}

TEST_CASE("a device that leaves is gone, and comes back", "[R-01]") {
  Thread thread;
  thread.change({thread.mapped(false)});
  thread.loop.retire({device_id("a")});
  REQUIRE(eventually([&] { return thread.status().trunk.devices.empty(); }));
  thread.change({thread.mapped(false)});
  REQUIRE(thread.status().trunk.devices.size() == 1);
}

TEST_CASE("who is there stays there when its session begins anew", "[C-02]") {
  Thread thread;
  thread.change({thread.mapped(true)});
  thread.loop.presence(device_id("a"), Presence::reachable);
  thread.change({thread.mapped(false)});
  REQUIRE(thread.status().trunk.devices.at(0).presence == Presence::reachable);
}
