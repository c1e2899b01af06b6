// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>

#include "gateway/pipeline/store.h"
#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"
#include "tests/support/temporary_folder.h"

namespace trunkline::test {

struct StoreSetting {
  Capacity::Limits limits{.max_bytes = 1 << 20};
  Store::Options store{};
  Milliseconds age_step{10};
};

// A store over a real file, with time as a number and intake's part played by `offer`.
class StoreRig {
 public:
  using Setting = StoreSetting;

  explicit StoreRig(Setting given = {}) : setting(given) { open(); }

  void open() {
    auto opened = Spool::open({.directory = folder.path("spool"), .age_step = setting.age_step, .now = now});
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    spool = std::move(*opened);
    capacity = std::make_unique<Capacity>(setting.limits);
    for (const auto& [device, policy] : policies) capacity->set_policy(device_id(device), policy);
    for (const auto& held : spool->devices()) {
      capacity->occupy(held.device, held.bytes + held.dead_letter_bytes, held.messages + held.dead_letters);
    }
    store = std::make_unique<Store>(*spool, *capacity, metrics, setting.store);
  }
  // What a kill -9 leaves; steady time starts anew.
  void crash(Milliseconds wall_gap = Milliseconds(0)) {
    items.clear();
    store.reset();
    spool.reset();
    now.wall += wall_gap;
    open();
  }
  void set_policy(const std::string& device, const DevicePolicy& policy) {
    policies[device] = policy;
    capacity->set_policy(device_id(device), policy);
  }
  void pass(Milliseconds time) {
    now.steady += time;
    now.wall += time;
  }

  // What intake does with a message. Nothing: it was not stamped.
  MessagePtr offer(const std::string& device, bool waits = true, std::size_t size = 1) {
    auto one = message(device, sequence + 1, std::string(size, 'x'), spool->run());
    const auto id = device_id(device);
    const auto answer = capacity->reserve(id, one->footprint());
    const auto policy = capacity->policy(id);
    if (answer == Capacity::Answer::full) return nullptr;
    if (answer == Capacity::Answer::at_limit) {
      if (policy.on_full == OnFull::drop_newest) items.emplace_back(Dropped{id});
      return nullptr;
    }
    ++sequence;
    Arrival arrival{one, told(one->position)};
    arrival.waits = waits;
    arrival.synced = policy.synced;
    arrival.drops_oldest = policy.on_full == OnFull::drop_oldest;
    arrival.passing = answer == Capacity::Answer::passing;
    items.emplace_back(std::move(arrival));
    return one;
  }
  Completion<Admission> told(Position position) {
    return Completion<Admission>([this, position](Admission admission) {
      if (admission.kind == Admission::Kind::safe) safe.push_back(position.sequence());
      if (admission.kind == Admission::Kind::duplicate) repeated.push_back(position.sequence());
    });
  }
  void settle(const MessagePtr& one, Outcome outcome = Outcome::accepted()) {
    items.emplace_back(Settlement{one, std::move(outcome)});
  }
  Store::Result process() { return store->process(items, now); }

  LedgerReport report(const std::string& device = {}, std::optional<std::int64_t> since = std::nullopt) {
    const auto books = store->books(now.wall);
    REQUIRE(books);
    return trunkline::report(*books, device, since);
  }
  // D-05, for each device and in total; messages that are not safe yet are not received.
  LedgerReport balanced() {
    auto out = report();
    for (const auto& device : out.devices) {
      INFO(device.name);
      REQUIRE(device.unaccounted() == 0);
    }
    REQUIRE(out.total.unaccounted() == 0);
    return out;
  }
  std::uint64_t count(const std::string& name, const std::string& label = {}) {
    return metrics.metric(name, "", label).value();
  }

  Setting setting;
  TemporaryFolder folder;
  Moment now{SteadyTime{} + std::chrono::hours(1), WallTime(std::chrono::hours(24 * 20'780)), true};
  std::map<std::string, DevicePolicy> policies;
  Metrics metrics;
  std::unique_ptr<Spool> spool;
  std::unique_ptr<Capacity> capacity;
  std::unique_ptr<Store> store;
  std::vector<StoreItem> items;
  std::vector<std::uint64_t> safe;      // in the order in which they were told so
  std::vector<std::uint64_t> repeated;  // told duplicate
  std::uint64_t sequence = 0;
};

}  // namespace trunkline::test
