// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/request.h"

#include <string>

#include "adapters/coap/request_reader.h"
#include "tests/support/catch.h"
#include "tests/support/coap_parse.h"
#include "tests/support/coap_peer.h"

using namespace trunkline;
using test::CoapMessage;

TEST_CASE("every option that matters is read from a datagram") {
  CoapMessage message;
  message.type = CoapMessage::con;
  message.code = 2;
  message.id = 0x1234;
  message.token = "abc";
  message.path("/plant/tank");
  message.option(15, "id=7").option(15, "x").option(12, std::string(1, 60)).option(17, "");
  message.option(6, "").option(258, std::string(1, 2)).option(27, std::string(1, 6));
  message.payload = "body";
  const auto bytes = message.encode();
  const auto pdu = test::parse_datagram(bytes);
  REQUIRE(pdu);
  const auto request = coap::read_request(pdu.get());
  CHECK(request.method == coap::Method::post);
  CHECK(request.confirmable);
  CHECK(request.message_id == 0x1234);
  CHECK(request.token.size == 3);
  CHECK(request.path == "/plant/tank");
  CHECK(coap::query_value(request, "id") == "7");
  CHECK_FALSE(coap::query_value(request, "x"));
  CHECK(request.content_format == 60U);
  CHECK(request.accept == 0U);
  CHECK(request.observe == 0U);
  CHECK(request.no_response == 2);
  REQUIRE(request.block1);
  CHECK(request.block1->option() == 6U);
  CHECK_FALSE(request.bad_block);
  CHECK(request.payload == "body");
}

TEST_CASE("a slash inside a segment does not make another path", "[I-02]") {
  CoapMessage message;
  message.code = 2;
  message.option(11, "plant/tank");
  const auto bytes = message.encode();
  const auto pdu = test::parse_datagram(bytes);
  REQUIRE(pdu);
  CHECK(coap::read_request(pdu.get()).path == "/plant%2Ftank");
}

TEST_CASE("block options are read, and what cannot be one is told") {
  for (const auto& [option, value, number, more, size] : {std::tuple{27U, '\x0e', 0U, true, 1024U},
                                                          {27U, '\x12', 1U, false, 64U},
                                                          {23U, '\x3a', 3U, true, 64U},
                                                          {23U, '\x00', 0U, false, 16U}}) {
    CoapMessage message;
    message.code = 2;
    message.option(option, std::string(1, value));
    const auto bytes = message.encode();
    const auto pdu = test::parse_datagram(bytes);
    REQUIRE(pdu);
    const auto request = coap::read_request(pdu.get());
    const auto block = option == 27 ? request.block1 : request.block2;
    REQUIRE(block);
    CHECK(block->number == number);
    CHECK(block->more == more);
    CHECK(block->size() == size);
    CHECK(block->offset() == number * size);
    CHECK_FALSE(request.bad_block);
  }
  CHECK_FALSE(coap::Block::parse(7));
  CHECK_FALSE(coap::Block::parse(0x1000006));
  CHECK(coap::Block::parse(0xfffff6)->offset() == 0xfffffU * 1024U);
}

TEST_CASE("content formats go both ways and parameters do not matter") {
  CHECK(coap::media_type(50) == "application/json");
  CHECK(coap::media_type(0) == "text/plain");
  CHECK_FALSE(coap::media_type(60000));
  CHECK(coap::content_format("application/json; charset=utf-8") == 50U);
  CHECK(coap::content_format("text/plain") == 0U);
  CHECK_FALSE(coap::content_format("image/png"));
  CHECK_FALSE(coap::content_format(""));
}
