// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/engine.h"

#include "gateway/base/encoding.h"
#include "tests/support/catch.h"

using namespace trunkline;

TEST_CASE("a peer's text is made fit for a log") {
  CHECK(amqp::printable("plain") == "plain");
  CHECK(amqp::printable(std::string("a\0b\n\x1b[31m", 9)) == "a?b??[31m");
  CHECK(amqp::printable("gr\xC3\xBC\xC3\x9F") == "gr\xC3\xBC\xC3\x9F");
  CHECK(amqp::printable("\xFFx\xC3") == "?x?");
  CHECK(amqp::printable(std::string(10'000, 'x')).size() == amqp::kMaxConditionText);
}

TEST_CASE("cutting a long text never splits a character") {
  for (std::size_t lead = 0; lead < 4; ++lead) {
    std::string text(lead, 'x');
    while (text.size() < 600) text += "\xE2\x82\xAC";
    const auto cut = amqp::printable(text);
    CHECK(cut.size() <= amqp::kMaxConditionText);
    CHECK(cut.size() > amqp::kMaxConditionText - 4);
    CHECK(is_utf8(cut));
    CHECK(cut.find('?') == std::string::npos);
  }
}
