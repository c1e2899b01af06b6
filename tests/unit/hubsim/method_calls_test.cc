// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/method_calls.h"

#include <vector>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  MethodCalls calls;
  std::vector<MethodAnswer> answers;
  SteadyTime now{};

  void begin(bool online, Milliseconds connect = 0ms, Milliseconds response = 5s) {
    calls.begin({"reboot", "{}", connect, response}, online, now,
                [this](const MethodAnswer& answer) { answers.push_back(answer); });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a call is sent once and its answer ends it") {
  begin(true);
  const auto request = calls.next(now);
  REQUIRE(request);
  CHECK(request->method == "reboot");
  REQUIRE(request->id.size() == 16);
  // RFC 4122 version 4, without which the Node SDK answers with a string.
  CHECK((request->id[6] & 0xF0) == 0x40);
  CHECK((request->id[8] & 0xC0) == 0x80);
  CHECK_FALSE(calls.next(now));
  CHECK_FALSE(calls.answer("another one", 200, "{}"));
  CHECK(calls.answer(request->id, 207, "[1]"));
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].http_status == 200);
  CHECK(answers[0].code == 0);
  CHECK(answers[0].status == 207);
  CHECK(answers[0].payload == "[1]");
  CHECK_FALSE(calls.answer(request->id, 200, "{}"));
  CHECK(calls.deadline(true) == kNever);
}

TEST_CASE_METHOD(Fixture, "nobody there is 404103, at once or when the time to connect is over") {
  begin(false);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].code == 404103);
  begin(false, 2s);
  CHECK(calls.deadline(false) == now + 2s);
  calls.tick(false, now + 1999ms);
  CHECK(answers.size() == 1);
  calls.tick(false, now + 2s);
  REQUIRE(answers.size() == 2);
  CHECK(answers[1].http_status == 404);
  CHECK(answers[1].code == 404103);
}

TEST_CASE_METHOD(Fixture, "a device that comes in time gets the call and the whole time to answer") {
  begin(false, 60s, 5s);
  now += 1s;
  const auto request = calls.next(now);
  REQUIRE(request);
  CHECK(calls.deadline(true) == now + 5s);
  calls.tick(true, now + 4999ms);
  CHECK(answers.empty());
  calls.tick(true, now + 5s);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].http_status == 504);
  CHECK(answers[0].code == 504101);
  CHECK_FALSE(calls.answer(request->id, 200, "late"));
}

TEST_CASE_METHOD(Fixture, "a call that finds no credit ends like one that is not answered") {
  begin(true);
  CHECK(calls.deadline(true) == now + 5s);
  calls.tick(true, now + 5s);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].code == 504101);
}

TEST_CASE_METHOD(Fixture, "losing the link ends what was sent, removing the device ends everything") {
  begin(true);
  REQUIRE(calls.next(now));
  begin(true, 10s);
  calls.link_lost();
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].code == 404104);
  calls.abandon();
  REQUIRE(answers.size() == 2);
  CHECK(answers[1].code == 404001);
  CHECK(calls.size() == 0);
}

TEST_CASE_METHOD(Fixture,
                 "more than ten calls in flight are refused, an answer that cannot be read is the device's fault") {
  for (int i = 0; i < 10; ++i) begin(true);
  const auto request = calls.next(now);
  begin(true);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].code == 403800);
  CHECK(calls.spoil(request->id, "not JSON"));
  CHECK(answers[1].http_status == 500);
  CHECK_FALSE(calls.spoil(request->id, "again"));
}

TEST_CASE_METHOD(Fixture, "a call may begin another one from its answer") {
  calls.begin({"first", {}, 0ms, 5s}, true, now, [this](const MethodAnswer&) { begin(true); });
  REQUIRE(calls.answer(calls.next(now)->id, 200, {}));
  CHECK(calls.next(now)->method == "reboot");
}
