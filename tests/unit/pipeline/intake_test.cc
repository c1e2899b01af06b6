// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/intake.h"

#include <future>
#include "gateway/pipeline/repeat_filter.h"
#include "tests/support/eventually.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

class HandClock final : public Clock {
 public:
  SteadyTime steady() const override { return SteadyTime{} + 1h; }
  WallTime wall() const override { return WallTime(500'000h); }
  bool wall_trusted() const override { return trusted; }
  bool trusted = true;
};

class Bodies final : public MessageSizer {
 public:
  std::size_t size(const Telemetry& telemetry) const override {
    std::size_t out = telemetry.body.size();
    for (const auto& property : telemetry.properties) out += property.name.size() + property.value.size();
    return out;
  }
  std::size_t limit() const override { return 100; }
};

// Intake with the real store thread behind it.
struct Door {
  StoreRig rig;
  HandClock clock;
  Bodies sizer;
  LiveFeed live;
  StoreThread thread{*rig.store, *rig.capacity, clock, [](ReadAnswer) {}};
  Intake intake{thread,
                live,
                *rig.capacity,
                sizer,
                clock,
                rig.metrics,
                1,
                [](const DeviceId&, Presence) {},
                [](const DeviceId&) -> Result<Secret> { return fail(ErrorCode::not_found, "no keys here"); }};

  explicit Door(StoreSetting setting = {}) : rig(setting) { thread.start(); }

  Admission::Kind submit(Telemetry telemetry) {
    auto told = std::make_shared<std::promise<Admission>>();
    auto answer = told->get_future();
    intake.submit(std::move(telemetry),
                  Completion<Admission>([told](Admission admission) { told->set_value(std::move(admission)); }));
    REQUIRE(answer.wait_for(20s) == std::future_status::ready);
    return answer.get().kind;
  }
  Telemetry said(const std::string& body, const std::string& key = {}) {
    Telemetry out{device_id("a"), body, {}, {}, {}, {}, Source::tcp};
    out.source_key = key;
    return out;
  }
  std::vector<MessagePtr> sent() {
    LiveFeed::Taken taken;
    live.take(taken);
    return taken.messages;
  }
};

}  // namespace

TEST_CASE("a message says so when its times cannot be trusted, and a message at the hub's limit goes without",
          "[D-02]") {
  Door door;
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::safe);
  REQUIRE(door.sent().front()->telemetry.properties.empty());
  door.clock.trusted = false;
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::safe);
  REQUIRE(door.sent().front()->telemetry.properties == std::vector<Property>{{"time-quality", "untrusted"}});
  REQUIRE(door.submit(door.said(std::string(100, 'x'))) == Admission::Kind::safe);
  REQUIRE(door.sent().front()->telemetry.properties.empty());
  REQUIRE(door.submit(door.said(std::string(101, 'x'))) == Admission::Kind::refused);
}

TEST_CASE("what the source says twice is sent once and told duplicate; without a key it is a new message", "[D-03]") {
  Door door;
  REQUIRE(door.submit(door.said("x", "7")) == Admission::Kind::safe);
  REQUIRE(door.submit(door.said("x", "7")) == Admission::Kind::duplicate);
  REQUIRE(door.submit(door.said("x", "8")) == Admission::Kind::safe);
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::safe);
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::safe);
  REQUIRE(door.sent().size() == 4);
  REQUIRE(door.rig.count("duplicates_total") == 1);
}

TEST_CASE("at its own limit a device is asked to wait, or its message is dropped, as its map says", "[D-06]") {
  Door door;
  door.rig.set_policy("a", {.max_messages = 1});
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::safe);
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::throttled);
  door.rig.set_policy("a", {.max_messages = 1, .on_full = OnFull::drop_newest});
  REQUIRE(door.submit(door.said("x")) == Admission::Kind::refused);
  door.thread.stop();
  const auto total = door.rig.balanced().total;
  REQUIRE(total.tally.received == 2);
  REQUIRE(total.tally.dropped_newest == 1);
}

TEST_CASE("a dead letter is readmitted under a new position, with its own receive time", "[D-04]") {
  Door door;
  door.submit(door.said("x"));
  const auto one = door.sent().front();
  door.thread.push(Settlement{one, Outcome::rejected("x:y", "no")});
  std::promise<std::vector<DeadLetter>> found;
  door.thread.ask([&](Store& store) {
    found.set_value(*store.kept(door.clock.moment(), [](const DeadLetter&) {}).dead_letters({.with_telemetry = true}));
  });
  const auto letters = found.get_future().get();
  REQUIRE(letters.size() == 1);
  door.intake.readmit(letters.front());
  const auto again = door.sent().front();
  REQUIRE(again->position > one->position);
  REQUIRE(again->received == one->received);
  door.thread.stop();
  REQUIRE(door.rig.spool->depth().dead_letters == 0);
  REQUIRE(door.rig.spool->depth().messages == 1);
  REQUIRE(door.rig.balanced().total.tally.requeued == 1);
}

TEST_CASE("source keys are remembered for a while and for a number of messages only", "[D-03]") {
  RepeatFilter filter;
  const auto now = SteadyTime{} + 1h;
  Telemetry said{device_id("a"), "x", {}, {}, {}, "7", Source::coap};
  filter.remember(said, Position::make(1, 1), now);
  REQUIRE(filter.find(said, now + 246s) == Position::make(1, 1));
  auto other = said;
  other.source = Source::tcp;
  REQUIRE_FALSE(filter.find(other, now));
  other = said;
  other.device = device_id("b");
  REQUIRE_FALSE(filter.find(other, now));
  SECTION("for a while") {
    REQUIRE_FALSE(filter.find(said, now + 248s));
  }
  SECTION("a sequence number that came round counts from its last use") {
    filter.remember(said, Position::make(1, 9), now + 200s);
    REQUIRE(filter.find(said, now + 300s) == Position::make(1, 9));
    REQUIRE_FALSE(filter.find(said, now + 500s));
  }
  SECTION("a line device that says its whole window again under its sequence numbers") {
    Telemetry line{device_id("a"), "x", {}, {}, {}, {}, Source::tcp};
    for (std::uint64_t i = 0; i < 400; ++i) {
      line.source_key = std::to_string(i);
      filter.remember(line, Position::make(1, 2 + i), now);
    }
    for (std::uint64_t i = 0; i < 400; ++i) {
      line.source_key = std::to_string(i);
      REQUIRE(filter.find(line, now + 1s) == Position::make(1, 2 + i));
    }
  }
  SECTION("for so many") {
    for (std::uint64_t i = 0; i < RepeatFilter::kPerDevice; ++i) {
      auto next = said;
      next.source_key = "other " + std::to_string(i);
      filter.remember(next, Position::make(1, 2 + i), now);
    }
    REQUIRE_FALSE(filter.find(said, now));
  }
}

TEST_CASE("behind a throttled message of a pipelining source nothing is taken until that one is offered again",
          "[D-03]") {
  const auto one = message("a", 1)->footprint();
  Door door({.limits = {.max_bytes = 2 * one}});
  using Offer = Telemetry::Offer;
  const auto offer = [&door](const std::string& body, Offer how) {
    auto telemetry = door.said(body);
    telemetry.offer = how;
    return door.submit(std::move(telemetry));
  };
  REQUIRE(offer("1", Offer::in_line) == Admission::Kind::safe);
  REQUIRE(offer("2", Offer::in_line) == Admission::Kind::safe);
  REQUIRE(offer("3", Offer::in_line) == Admission::Kind::throttled);
  const auto sent = door.sent();
  REQUIRE(sent.size() == 2);
  // The hub takes what was there before the source knows that 3 was refused.
  for (const auto& message : sent) door.thread.push(Settlement{message, Outcome::accepted()});
  REQUIRE(eventually([&door] { return door.rig.capacity->bytes() == 0; }));
  REQUIRE(offer("4", Offer::in_line) == Admission::Kind::throttled);
  REQUIRE(offer("x", Offer::alone) == Admission::Kind::safe);  // who waits for each answer orders for himself
  REQUIRE(offer("3", Offer::again) == Admission::Kind::safe);
  REQUIRE(door.sent().back()->telemetry.body == "3");
}
