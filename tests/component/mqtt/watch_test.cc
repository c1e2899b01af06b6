// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/broker_watch.h"

#include "adapters/mqtt/topic_table.h"
#include "tests/component/mqtt/bench.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

// The watch with neither broker nor Paho: the test plays the mqtt thread.
struct WatchBench {
  WatchBench() {
    thread = std::thread([this] { watch.run(); });
  }
  ~WatchBench() {
    events.push(mqtt::StopAsked{in(0ms)});
    thread.join();
  }

  // The next job for the mqtt thread; fails the test if it is of another kind.
  template <class Kind>
  Kind next() {
    while (waiting.empty()) {
      std::vector<mqtt::Job> batch;
      jobs.take(batch, in(20s));
      if (batch.empty()) throw std::runtime_error("no job came");
      for (auto& job : batch) waiting.push_back(std::move(job));
    }
    auto job = std::move(waiting.front());
    waiting.pop_front();
    return std::get<Kind>(std::move(job));
  }

  std::vector<DeviceMap> devices{mqtt_device("boiler"), mqtt_device("pump")};
  mqtt::TopicTable topics = mqtt::TopicTable::make(devices).value();
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  mqtt::EventQueue events;
  mqtt::JobQueue jobs;
  std::deque<mqtt::Job> waiting;
  mqtt::DeviceNotes notes = mqtt::DeviceNotes(2);
  mqtt::ArrivalGate gate;
  mqtt::BrokerWatch watch{
      "mqtt", "127.0.0.1:1", devices, topics.subscriptions(), false, false, clock, metrics, events, jobs,
      notes,  gate,          ingress};
  std::thread thread;
};

}  // namespace

TEST_CASE("a subscription that the broker refuses is shown and the others work") {
  WatchBench bench;
  const auto open = bench.next<mqtt::OpenSession>();
  bench.events.push(mqtt::SessionUp{open.epoch, true});
  CHECK(bench.next<mqtt::Subscribe>().epoch == open.epoch);
  CHECK(bench.ingress.presence_history().empty());
  for (std::size_t place = 0; place < 4; ++place) {
    bench.events.push(mqtt::SubscribeAnswered{open.epoch, place, place == 2 ? 0x87U : 1U});
  }
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  const auto status = bench.watch.status();
  CHECK_FALSE(status.healthy);
  CHECK(status.detail.find("refuses the subscription to plant/pump/state") != std::string::npos);
}

TEST_CASE("what an old connection says is ignored", "[R-01]") {
  WatchBench bench;
  const auto first = bench.next<mqtt::OpenSession>();
  bench.events.push(mqtt::SessionLost{first.epoch, "refused"});
  CHECK(bench.next<mqtt::CloseSession>().epoch == first.epoch);
  const auto second = bench.next<mqtt::OpenSession>();
  CHECK(second.epoch == first.epoch + 1);
  bench.events.push(mqtt::SessionUp{first.epoch, true});
  bench.events.push(mqtt::SessionLost{first.epoch, "refused again"});
  bench.events.push(mqtt::SessionUp{second.epoch, false});
  CHECK(bench.next<mqtt::Subscribe>().epoch == second.epoch);
}

TEST_CASE("a lost connection is tried again no sooner than a second later", "[R-01]") {
  WatchBench bench;
  const auto first = bench.next<mqtt::OpenSession>();
  const auto lost = std::chrono::steady_clock::now();
  bench.events.push(mqtt::SessionLost{first.epoch, "refused"});
  bench.next<mqtt::CloseSession>();
  bench.next<mqtt::OpenSession>();
  CHECK(std::chrono::steady_clock::now() - lost >= 1s);
}
