// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/engine.h"

#include <proton/codec.h>

#include <memory>

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

TEST_CASE("a condition's info is read whatever the types of its numbers, and bounded") {
  const std::unique_ptr<pn_connection_t, decltype(&pn_connection_free)> connection(pn_connection(),
                                                                                   &pn_connection_free);
  auto* condition = pn_connection_condition(connection.get());
  pn_condition_set_name(condition, "amqp:connection:redirect");
  auto* info = pn_condition_info(condition);
  const auto symbol = [info](const std::string& text) { pn_data_put_symbol(info, pn_bytes(text.size(), text.data())); };
  pn_data_put_map(info);
  pn_data_enter(info);
  symbol("port");
  SECTION("types") {
    pn_data_put_int(info, 5671);
    symbol("wait");
    pn_data_put_double(info, 1.5);
    symbol("nested");
    pn_data_put_list(info);
    symbol("host");
    symbol("a\nb");
    pn_data_exit(info);
    const auto read = amqp::read(condition);
    CHECK(read.info.size() == 3);
    CHECK(read.info.at("port") == "5671");
    CHECK(read.info.at("wait").rfind("1.5", 0) == 0);
    CHECK(read.info.at("host") == "a?b");
    CHECK(amqp::read(condition).info == read.info);
  }
  SECTION("too many") {
    pn_data_put_ulong(info, 1);
    for (int i = 0; i < 1000; ++i) {
      symbol("key-" + std::to_string(i));
      symbol(std::string(2'000, 'x'));
    }
    pn_data_exit(info);
    const auto read = amqp::read(condition);
    CHECK(read.info.size() == amqp::kMaxConditionInfo);
    for (const auto& [key, value] : read.info) CHECK(value.size() <= amqp::kMaxConditionText);
  }
  SECTION("no map") {
    pn_data_clear(info);
    pn_data_put_int(info, 1);
    CHECK(amqp::read(condition).info.empty());
  }
  SECTION("written and read") {
    const amqp::Condition value{"x", "y", {{"retry-after", "3"}}};
    amqp::write(condition, value);
    CHECK(amqp::read(condition).info == value.info);
    amqp::write(condition, {"x", "y"});
    CHECK(amqp::read(condition).info.empty());
  }
}
