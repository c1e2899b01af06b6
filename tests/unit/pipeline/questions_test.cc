// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/questions.h"

#include "gateway/base/json.h"
#include "gateway/pipeline/byte_rate.h"
#include "gateway/pipeline/intake.h"
#include "gateway/pipeline/spool_reader.h"
#include "tests/unit/pipeline/store_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

json::object ask(const Kept& kept, const std::string& request) {
  return json::parse(answer(kept, request)).as_object();
}

struct Plant : StoreRig {
  Kept kept() {
    return store->kept(now, [this](const DeadLetter& letter) { readmitted.push_back(letter); });
  }
  // Two dead letters of a, one of b.
  void reject_three() {
    for (const auto* device : {"a", "a", "b"}) {
      const auto one = offer(device, true, 5);
      process();
      settle(one, Outcome::rejected("amqp:not-allowed", "too large"));
    }
    offer("a");
    process();
  }
  std::vector<DeadLetter> readmitted;
};

}  // namespace

TEST_CASE("the ledger's answer balances and can be had of one device and from a day on", "[D-05]") {
  Plant rig;
  rig.reject_three();
  const auto all = ask(rig.kept(), R"({"op":"ledger"})");
  const auto& total = all.at("total").as_object();
  REQUIRE(total.at("received").to_number<int>() == 4);
  REQUIRE(total.at("waiting").to_number<int>() == 1);
  REQUIRE(total.at("dead_letters").to_number<int>() == 3);
  REQUIRE(total.at("unaccounted").to_number<int>() == 0);
  REQUIRE(all.at("devices").as_array().size() == 2);
  const auto one = ask(rig.kept(), R"({"op":"ledger","device":"b","since":"2020-01-01"})");
  REQUIRE(one.at("total").as_object().at("received").to_number<int>() == 1);
  REQUIRE(ask(rig.kept(), R"({"op":"ledger","since":"yesterday"})").contains("error"));
  REQUIRE(ask(rig.kept(), R"({"op":"ledger","device":7})").contains("error"));
  REQUIRE(ask(rig.kept(), "{").contains("error"));
}

TEST_CASE("dead letters are listed without payload, exported with it, requeued once, purged and counted",
          "[D-04][S-01]") {
  Plant rig;
  rig.reject_three();
  const auto listed = ask(rig.kept(), R"({"op":"deadletters","do":"list","device":"a"})");
  const auto& letters = listed.at("dead_letters").as_array();
  REQUIRE(letters.size() == 2);
  REQUIRE(letters[0].at("condition").as_string() == "amqp:not-allowed");
  REQUIRE(letters[0].at("description").as_string() == "too large");
  REQUIRE(listed.at("next").is_null());
  const std::string id(letters[0].at("id").as_string());
  const auto shown = ask(rig.kept(), R"({"op":"deadletters","do":"show","id":")" + id + "\"}");
  REQUIRE(shown.at("dead_letters").at(0).at("body_bytes").to_number<int>() == 5);
  REQUIRE(json::serialize(shown).find("base64") == std::string::npos);
  const auto exported = ask(rig.kept(), R"({"op":"deadletters","do":"export"})");
  REQUIRE(exported.at("dead_letters").as_array().size() == 3);
  REQUIRE(exported.at("dead_letters").at(0).at("body_base64").as_string() == "eHh4eHg=");

  const auto request = R"({"op":"deadletters","do":"requeue","id":")" + id + "\"}";
  REQUIRE(ask(rig.kept(), request).at("done").to_number<int>() == 1);
  REQUIRE(ask(rig.kept(), request).at("done").to_number<int>() == 0);
  REQUIRE(rig.readmitted.size() == 1);
  REQUIRE(rig.readmitted[0].telemetry->body == "xxxxx");
  const auto purged = ask(rig.kept(), R"({"op":"deadletters","do":"purge"})");
  REQUIRE(purged.at("done").to_number<int>() == 2);  // not the one that is on its way
  REQUIRE(rig.balanced().total.tally.purged == 2);
  REQUIRE(rig.count("dropped_total", "reason=\"purged\"") == 2);
  REQUIRE(ask(rig.kept(), R"({"op":"deadletters","do":"burn"})").contains("error"));
  REQUIRE(ask(rig.kept(), R"({"op":"deadletters","do":"show","id":"1"})").contains("error"));
}

TEST_CASE("many dead letters come in pages", "[D-04]") {
  Plant rig;
  for (int i = 0; i < 620; ++i) {
    const auto one = rig.offer("a");
    rig.items.emplace_back(Settlement{one, Outcome::rejected("x:y", "no")});
  }
  rig.process();
  const auto first = ask(rig.kept(), R"({"op":"deadletters","do":"list"})");
  REQUIRE(first.at("dead_letters").as_array().size() == 500);
  const auto rest = ask(
      rig.kept(), R"({"op":"deadletters","do":"list","after":")" + std::string(first.at("next").as_string()) + "\"}");
  REQUIRE(rest.at("dead_letters").as_array().size() == 120);
  REQUIRE(rest.at("next").is_null());
}

TEST_CASE("a spool that no gateway uses is read and not changed", "[D-05]") {
  Plant rig;
  rig.reject_three();
  const auto directory = rig.folder.path("spool");
  REQUIRE(SpoolReader::open(directory, 1 << 20).error().code == ErrorCode::exists);
  const auto live = ask(rig.kept(), R"({"op":"ledger"})");
  rig.store.reset();
  rig.spool.reset();
  const auto reader = SpoolReader::open(directory, 1 << 20);
  INFO((reader ? "" : reader.error().message));
  REQUIRE(reader);
  REQUIRE(ask((*reader)->kept(), R"({"op":"ledger"})") == live);
  REQUIRE(ask((*reader)->kept(), R"({"op":"spool"})").at("waiting").to_number<int>() == 1);
  REQUIRE(ask((*reader)->kept(), R"({"op":"deadletters","do":"list"})").at("dead_letters").as_array().size() == 3);
  REQUIRE(ask((*reader)->kept(), R"({"op":"deadletters","do":"purge"})").contains("error"));
  REQUIRE_FALSE(Spool::open({.directory = directory}));
}

TEST_CASE("the time until the spool is full is told from the last minutes' inflow", "[D-06]") {
  ByteRate inflow;
  SteadyTime now = SteadyTime{} + 1h;
  for (int i = 0; i < 90; ++i) {
    inflow.add(100, now);
    now += 1s;
  }
  REQUIRE(inflow.per_second(now) > 97);
  REQUIRE(inflow.per_second(now) < 103);
  REQUIRE(inflow.per_second(now + 10min) < 1e-9);
}
