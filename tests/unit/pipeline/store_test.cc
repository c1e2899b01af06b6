// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/store.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/support/catch.h"
#include "tests/support/fake_uplink.h"
#include "tests/support/temporary_folder.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

struct Bench {
  TemporaryFolder folder;
  std::unique_ptr<Spool> spool = *Spool::open({.directory = folder.path("spool")});
  Capacity capacity{{.max_bytes = 1 << 20, .max_messages = 1000}};
  Metrics metrics;
  Store store{*spool, capacity, metrics, {}};
  std::vector<StoreItem> items;
  std::vector<std::uint64_t> safe;  // in the order in which they were told so

  void arrive(const MessagePtr& one) {
    REQUIRE(capacity.reserve(one->telemetry.device, one->footprint()) == Capacity::Answer::kept);
    items.emplace_back(Arrival{one, Completion<Admission>([this, one](Admission admission) {
                                 if (admission.kind == Admission::Kind::safe) safe.push_back(one->position.sequence());
                               })});
  }
  Store::Result process() { return store.process(items, Moment{}); }
  std::uint64_t count(const std::string& name) { return metrics.metric(name, "").value(); }
};

// Makes every write to a file fail while it lives, as a full disk does.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("a device is told safe only after the commit, in order", "[D-01]") {
  Bench bench;
  for (std::uint64_t i = 1; i <= 3; ++i) bench.arrive(message("a", i));
  REQUIRE(bench.safe.empty());
  REQUIRE_FALSE(bench.process().failed);
  REQUIRE(bench.safe == std::vector<std::uint64_t>{1, 2, 3});
  REQUIRE(bench.spool->depth().messages == 3);
}

TEST_CASE("a message accepted before its turn to be written is never written", "[D-01]") {
  Bench bench;
  const auto first = message("a", 1);
  bench.arrive(first);
  bench.arrive(message("a", 2));
  bench.items.emplace_back(Settlement{first, Outcome::accepted()});
  bench.process();
  REQUIRE(bench.safe == std::vector<std::uint64_t>{1, 2});
  REQUIRE(bench.count("spool_written_total") == 1);
  REQUIRE(bench.count("spool_never_written_total") == 1);
  REQUIRE(bench.capacity.bytes() == message("a", 2)->footprint());
}

TEST_CASE("a message rejected before it was written is safe once it is in the dead letters", "[D-01][D-04]") {
  Bench bench;
  const auto first = message("a", 1);
  bench.arrive(first);
  bench.items.emplace_back(Settlement{first, Outcome::rejected("amqp:x", "no")});
  bench.process();
  REQUIRE(bench.safe == std::vector<std::uint64_t>{1});
  REQUIRE(bench.spool->depth().messages == 0);
  REQUIRE(bench.spool->depth().dead_letters == 1);
}

TEST_CASE("a full disk acknowledges nothing but what the hub accepted, forgets nothing, and heals", "[D-01][D-02]") {
  Bench bench;
  const auto a1 = message("a", 1, std::string(5000, 'x'));
  const auto a2 = message("a", 2, std::string(5000, 'x'));
  const auto b3 = message("b", 3, std::string(5000, 'x'));
  const auto b4 = message("b", 4, std::string(5000, 'x'));
  {
    FullDisk full;
    for (const auto& one : {a1, a2, b3, b4}) bench.arrive(one);
    bench.items.emplace_back(Settlement{a2, Outcome::accepted()});  // a1 is older and not safe: a2 must wait for it
    bench.items.emplace_back(Settlement{b3, Outcome::accepted()});
    const auto slot = DeviceSlot{0};
    bench.items.emplace_back(ReadRequest{slot, device_id("b"), b3->position, 10, 100'000});
    const auto result = bench.process();
    REQUIRE(result.failed);
    REQUIRE(bench.safe == std::vector<std::uint64_t>{3});
    REQUIRE_FALSE(bench.store.status(SteadyTime{}).fault.empty());
    REQUIRE(result.reads.size() == 1);
    REQUIRE(result.reads[0].messages == std::vector{b4});
    REQUIRE_FALSE(result.reads[0].more);
    REQUIRE(bench.process().failed);
    REQUIRE(bench.safe.size() == 1);
  }
  REQUIRE_FALSE(bench.process().failed);
  REQUIRE(bench.safe == std::vector<std::uint64_t>{3, 1, 2, 4});
  REQUIRE(bench.store.status(SteadyTime{}).fault.empty());
  REQUIRE(bench.spool->depth().messages == 2);
  REQUIRE(bench.count("spool_commit_failures_total") == 2);
}

TEST_CASE("capacity is given back when a message has left, and dead letters keep theirs", "[D-06]") {
  Bench bench;
  const auto one = message("a", 1);
  const auto two = message("a", 2);
  bench.arrive(one);
  bench.arrive(two);
  bench.process();
  bench.items.emplace_back(Settlement{one, Outcome::accepted()});
  bench.items.emplace_back(Settlement{two, Outcome::rejected("amqp:x", "no")});
  bench.process();
  REQUIRE(bench.capacity.bytes() == two->footprint());
}
