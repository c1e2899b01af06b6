// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/feedback.h"

#include "tests/support/catch.h"

using namespace trunkline;
using namespace std::chrono_literals;
using hubsim::CommandQueue;
using hubsim::Fate;

namespace {

std::string status(const std::string& ack, Fate fate, const std::string& id = "m1") {
  CommandQueue::Item item;
  item.ack = ack;
  item.fate = fate;
  item.message.message_id = id;
  const auto record = hubsim::feedback_for(item, "d1", WallTime(5s));
  return record ? record->status : "-";
}

}  // namespace

TEST_CASE("feedback is given as iothub-ack asks") {
  CHECK(status("full", Fate::completed) == "Success");
  CHECK(status("positive", Fate::completed) == "Success");
  CHECK(status("negative", Fate::completed) == "-");
  CHECK(status("none", Fate::completed) == "-");
  CHECK(status("", Fate::rejected) == "-");
  CHECK(status("positive", Fate::rejected) == "-");
  CHECK(status("negative", Fate::rejected) == "Rejected");
  CHECK(status("full", Fate::expired) == "Expired");
  CHECK(status("full", Fate::delivery_count_exceeded) == "DeliveryCountExceeded");
  CHECK(status("full", Fate::purged) == "Purged");
  CHECK(status("full", Fate::waiting) == "-");
  CHECK(status("full", Fate::completed, "") == "-");
}

TEST_CASE("a batch leaves at 64 records or a delay after the last one") {
  hubsim::FeedbackBatcher batcher(15s);
  SteadyTime now(1000s);
  CHECK(batcher.take_due(now).empty());
  CHECK(batcher.deadline() == kNever);
  batcher.add({});
  CHECK(batcher.take_due(now).size() == 1);
  batcher.add({});
  CHECK(batcher.take_due(now).empty());
  CHECK(batcher.deadline() == now + 15s);
  for (int i = 0; i < 64; ++i) batcher.add({});
  CHECK(batcher.take_due(now).size() == 64);
  CHECK(batcher.take_due(now + 14s).empty());
  CHECK(batcher.take_due(now + 15s).size() == 1);
}

TEST_CASE("the body of a feedback message is the documented JSON") {
  hubsim::FeedbackRecord record{"m\"1", "d1", "Success", "", WallTime(1'700'000'000s)};
  CHECK(hubsim::feedback_body({record}) ==
        R"([{"originalMessageId":"m\"1","enqueuedTimeUtc":"2023-11-14T22:13:20.000Z","statusCode":"Success",)"
        R"("description":"Success","deviceId":"d1","deviceGenerationId":""}])");
}
