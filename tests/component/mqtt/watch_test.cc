// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/broker_watch.h"

#include <future>

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
  mqtt::Rosters rosters{mqtt::Roster::make("default", devices).value()};
  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  mqtt::EventQueue events;
  mqtt::JobQueue jobs;
  std::deque<mqtt::Job> waiting;
  mqtt::ArrivalGate gate;
  mqtt::BrokerWatch watch{"mqtt", "127.0.0.1:1", rosters, false, false, clock, metrics, events, jobs, gate, ingress};
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

namespace {

struct Answer {
  std::function<void(Result<void>)> done() {
    return [this](Result<void> result) { promise.set_value(std::move(result)); };
  }
  std::promise<Result<void>> promise;
};

Result<void> wait(Answer& answer) {
  auto future = answer.promise.get_future();
  if (future.wait_for(20s) != std::future_status::ready) throw std::runtime_error("no answer to a change");
  return future.get();
}

// Up, with all subscriptions answered.
std::uint64_t connect(WatchBench& bench) {
  const auto open = bench.next<mqtt::OpenSession>();
  bench.events.push(mqtt::SessionUp{open.epoch, true});
  const auto all = bench.next<mqtt::Subscribe>();
  for (const auto& [place, topic] : all.wanted) bench.events.push(mqtt::SubscribeAnswered{open.epoch, place, 1});
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  return open.epoch;
}

}  // namespace

TEST_CASE("another map costs the subscriptions that differ and nothing else", "[I-01]") {
  WatchBench bench;
  const auto epoch = connect(bench);
  auto pump = mqtt_device("pump");
  pump.mqtt->telemetry = "elsewhere/pump";
  auto next = bench.rosters.now.load()->with("default", {{}, {pump, mqtt_device("valve")}});
  REQUIRE(next);
  Answer answer;
  bench.events.push(mqtt::RosterCame{*next, answer.done()});
  const auto job = bench.next<mqtt::Subscribe>();
  CHECK(job.dropped.empty());
  REQUIRE(job.wanted.size() == 3);
  // Until it holds, the old topic is still the pump's.
  CHECK(bench.rosters.before.load()->topics.find("plant/pump/state"));
  for (const auto& [place, topic] : job.wanted) bench.events.push(mqtt::SubscribeAnswered{epoch, place, 1});
  CHECK(wait(answer));
  CHECK(bench.next<mqtt::Subscribe>().dropped == std::vector<std::string>{"plant/pump/state"});
  CHECK_FALSE(bench.rosters.before.load());
  CHECK(bench.ingress.wait_presence(device_id("valve"), Presence::reachable));
  CHECK(bench.watch.status().healthy);
  // The boiler noticed nothing.
  for (const auto& [device, presence] : bench.ingress.presence_history()) {
    if (device == device_id("boiler")) CHECK(presence == Presence::reachable);
  }

  auto without = bench.rosters.now.load()->with("default", {{device_id("valve")}, {}});
  Answer second;
  bench.events.push(mqtt::RosterCame{*without, second.done()});
  CHECK(wait(second));
  CHECK(bench.ingress.wait_presence(device_id("valve"), Presence::away));
  CHECK(bench.next<mqtt::Subscribe>().dropped.size() == 2);
}

TEST_CASE("a subscription that a new map needs and the broker refuses is the map's fault, not the connection's") {
  WatchBench bench;
  const auto epoch = connect(bench);
  auto next = bench.rosters.now.load()->with("default", {{}, {mqtt_device("valve")}});
  Answer answer;
  bench.events.push(mqtt::RosterCame{*next, answer.done()});
  const auto job = bench.next<mqtt::Subscribe>();
  REQUIRE(job.wanted.size() == 2);
  bench.events.push(mqtt::SubscribeAnswered{epoch, job.wanted[0].first, 1});
  bench.events.push(mqtt::SubscribeAnswered{epoch, job.wanted[1].first, 0x87});
  const auto changed = wait(answer);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().message.find("refuses the subscription to plant/valve/") != std::string::npos);
  CHECK(bench.watch.status().healthy);
}

TEST_CASE("another map while the broker is away holds from the next connection on", "[R-01]") {
  WatchBench bench;
  const auto open = bench.next<mqtt::OpenSession>();
  auto next = bench.rosters.now.load()->with("default", {{device_id("pump")}, {mqtt_device("valve")}});
  Answer answer;
  bench.events.push(mqtt::RosterCame{*next, answer.done()});
  CHECK(wait(answer));
  bench.events.push(mqtt::SessionUp{open.epoch, true});
  const auto all = bench.next<mqtt::Subscribe>();
  CHECK(all.wanted.size() == 4);
  for (const auto& [place, topic] : all.wanted) CHECK(topic.filter.find("pump") == std::string::npos);
}
