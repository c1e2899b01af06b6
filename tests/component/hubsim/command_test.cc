// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

// The place of the next command among what came.
std::size_t next_command(RawClient& client) {
  const auto before = client.incoming.size();
  REQUIRE(client.until(
      [&client, before] { return client.incoming.size() > before && client.incoming.back().address == kDown; }));
  return client.incoming.size() - 1;
}

// Settles with the outcome, as a client does that settles at once. The answer to a token shows that it was heard.
void settle(RawClient& client, std::size_t at, std::uint64_t state) {
  pn_delivery_update(client.incoming[at].delivery, state);
  pn_delivery_settle(client.incoming[at].delivery);
  REQUIRE(client.put_device_token("d1", kKey) == 200);
}

}  // namespace

TEST_CASE("a command comes with the annotations and types that the SDKs read") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 10);
  const auto sequence = fixture
                            .ask(R"({"op":"enqueue","device":"d1","body":"open","message_id":"c1","ack":"full",
    "content_type":"text/plain","properties":{"valve":"3"}})")
                            .at("sequence")
                            .as_int64();
  const auto before = client.incoming.size();
  REQUIRE(client.wait_incoming(before + 1));
  auto& command = client.incoming.back();
  CHECK(command.tag.size() == 16);
  CHECK(command.message.to() == kDown);
  CHECK(proton::get<std::string>(command.message.id()) == "c1");
  CHECK(command.message.content_type() == "text/plain");
  CHECK(proton::get<proton::binary>(command.message.body()) == proton::binary("open"));
  CHECK(proton::get<std::string>(command.message.properties().get("valve")) == "3");
  CHECK(proton::get<std::string>(command.message.properties().get("iothub-ack")) == "full");
  auto& annotations = command.message.message_annotations();
  CHECK(annotations.get("x-opt-sequence-number").type() == proton::ULONG);
  CHECK(proton::get<std::uint64_t>(annotations.get("x-opt-sequence-number")) == static_cast<std::uint64_t>(sequence));
  CHECK(annotations.get("iothub-deliverycount").type() == proton::UBYTE);
  CHECK(annotations.get("iothub-enqueuedtime").type() == proton::TIMESTAMP);
  CHECK(proton::get<std::string>(annotations.get("x-opt-lock-token")).size() == 36);

  settle(client, client.incoming.size() - 1, PN_ACCEPTED);
  const auto outcome =
      fixture.ask(R"({"op":"wait_outcome","device":"d1","sequence":)" + std::to_string(sequence) + "}");
  CHECK(outcome.at("state").as_string() == "completed");
}

TEST_CASE("a rejected command is gone, with the reason that was given") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 10);
  const auto sequence = fixture.hub->enqueue("d1", "a").value();
  auto* delivery = client.incoming[next_command(client)].delivery;
  amqp::reject(delivery, {"trunkline:no-such-valve", "there is no valve 9"});
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  const auto outcome =
      fixture.ask(R"({"op":"wait_outcome","device":"d1","sequence":)" + std::to_string(sequence) + "}");
  CHECK(outcome.at("state").as_string() == "rejected");
  CHECK(outcome.at("condition").as_string() == "trunkline:no-such-valve");
  CHECK(outcome.at("description").as_string() == "there is no valve 9");
}

TEST_CASE("released and modified commands come again, counted, under a new lock") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  // One at a time: the credit for the next delivery is given after the outcome of the last.
  fixture.attach_d1(client, 1);
  const auto sequence = fixture.hub->enqueue("d1", "b").value();
  const auto first = next_command(client);
  settle(client, first, PN_RELEASED);
  client.give_credit(kDown, 1);
  const auto second = next_command(client);
  const auto count = [&client](std::size_t at) {
    return proton::get<std::uint8_t>(client.incoming[at].message.message_annotations().get("iothub-deliverycount"));
  };
  CHECK(count(second) == 1);
  CHECK(client.incoming[second].tag != client.incoming[first].tag);
  settle(client, second, PN_MODIFIED);
  client.give_credit(kDown, 1);
  const auto third = next_command(client);
  CHECK(count(third) == 2);
  settle(client, third, PN_ACCEPTED);
  CHECK(fixture.hub->wait_outcome("d1", sequence, 5s) == "completed");
}

TEST_CASE("the hub answers an outcome that is not settled with its own settlement") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  const auto cbs = client.incoming.size();
  REQUIRE(fixture.hub->enqueue("d1", "a"));
  REQUIRE(client.wait_incoming(cbs + 1));
  auto* delivery = client.incoming.back().delivery;
  pn_delivery_update(delivery, PN_ACCEPTED);
  client.flush();
  CHECK(client.until([delivery] { return pn_delivery_settled(delivery); }));
  CHECK(pn_delivery_remote_state(delivery) == PN_ACCEPTED);
  pn_delivery_settle(delivery);
  client.flush();
}

TEST_CASE("credit is respected, and drained credit comes back") {
  HubFixture fixture;
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  const auto cbs = client.incoming.size();
  for (const auto* body : {"a", "b", "c"}) REQUIRE(fixture.hub->enqueue("d1", body));
  REQUIRE(client.wait_incoming(cbs + 1));
  // The answer to a token shows that everything sent before it has arrived.
  REQUIRE(client.put_device_token("d1", kKey) == 200);
  CHECK(client.incoming.size() == cbs + 2);
  client.give_credit(kDown, 5);
  REQUIRE(client.wait_incoming(cbs + 4));
  CHECK(proton::get<proton::binary>(client.incoming[cbs + 2].message.body()) == proton::binary("b"));
  client.drain(kDown);
  CHECK(client.until([&client] { return client.drained; }));
  CHECK(client.links[kDown].receiver.credit() == 0);
}

TEST_CASE("unsettled commands come again when their link is lost") {
  HubFixture fixture;
  std::uint64_t sequence = 0;
  {
    RawClient client(*fixture.hub, true);
    fixture.attach_d1(client, 1);
    const auto cbs = client.incoming.size();
    sequence = fixture.hub->enqueue("d1", "a").value();
    REQUIRE(client.wait_incoming(cbs + 1));
    CHECK(fixture.hub->wait_outcome("d1", sequence, 0ms) == "locked");
  }
  REQUIRE(fixture.ask(R"({"op":"wait_connections","count":0})").at("ok").as_bool());
  CHECK(fixture.hub->wait_outcome("d1", sequence, 0ms) == "queued");
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 1);
  REQUIRE(client.until([&client] { return client.incoming.back().address == kDown; }));
  CHECK(proton::get<std::uint8_t>(client.incoming.back().message.message_annotations().get("iothub-deliverycount")) ==
        0);
}

TEST_CASE("a lock that ended sends the command again and refuses the late outcome") {
  HubLimits limits;
  limits.lock = 200ms;
  HubFixture fixture(limits);
  RawClient client(*fixture.hub, true);
  fixture.attach_d1(client, 2);
  const auto cbs = client.incoming.size();
  const auto sequence = fixture.hub->enqueue("d1", "a").value();
  REQUIRE(client.wait_incoming(cbs + 2));
  auto* late = client.incoming[cbs].delivery;
  pn_delivery_update(late, PN_ACCEPTED);
  client.flush();
  REQUIRE(client.until([late] { return pn_delivery_settled(late); }));
  CHECK(pn_delivery_remote_state(late) == PN_REJECTED);
  CHECK(amqp::read(pn_disposition_condition(pn_delivery_remote(late))).name == "com.microsoft:message-lock-lost");
  CHECK(fixture.hub->wait_outcome("d1", sequence, 0ms) != "completed");
}

TEST_CASE("a command that nobody fetches expires") {
  HubFixture fixture;
  const auto sequence =
      fixture.ask(R"({"op":"enqueue","device":"d1","body":"x","ttl_ms":100})").at("sequence").as_int64();
  CHECK(fixture.hub->wait_outcome("d1", static_cast<std::uint64_t>(sequence), 5s) == "expired");
}

TEST_CASE("the newest receive link of a device wins") {
  HubFixture fixture;
  RawClient older(*fixture.hub, true);
  fixture.attach_d1(older, 10);
  RawClient newer(*fixture.hub, false);
  fixture.attach_d1(newer, 10);
  REQUIRE(older.until([&older] { return older.links[kDown].closed; }));
  CHECK(older.links[kDown].condition.name == "amqp:internal-error");
  CHECK(older.links[kDown].condition.description == "Another AMQP Client has opened a Receive Link");
  const auto before = newer.incoming.size();
  REQUIRE(fixture.hub->enqueue("d1", "a"));
  CHECK(newer.wait_incoming(before + 1));
}
