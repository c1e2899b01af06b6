// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/unknown_topics.h"

#include "tests/support/catch.h"

using trunkline::is_utf8;
using trunkline::mqtt::UnknownTopics;

TEST_CASE("a sample of unknown topics is bounded in number and length", "[D-06]") {
  UnknownTopics topics;
  for (int i = 0; i < 1000; ++i) topics.note("t/" + std::to_string(i % 30) + std::string(500, 'x'));
  CHECK(topics.sample().size() == UnknownTopics::kMost);
  for (const auto& one : topics.sample()) CHECK(one.size() == UnknownTopics::kMaxLength);
}

TEST_CASE("an unknown topic is shown as text, wherever it is cut and whatever it holds", "[S-01]") {
  for (std::size_t lead = 195; lead <= 200; ++lead) {
    UnknownTopics topics;
    topics.note(std::string(lead, 'x') + "\xf0\x9f\x8c\xa1\xf0\x9f\x8c\xa1");
    INFO(lead);
    CHECK(is_utf8(topics.sample().front()));
    CHECK(topics.sample().front().size() >= lead);
  }
  UnknownTopics topics;
  topics.note("a/\xc3\xa9/\xff");
  CHECK(topics.sample() == std::vector<std::string>{"a/\?\?/?"});
}
