// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/command_codec.h"

#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/map.hpp>
#include <proton/message_id.hpp>
#include <proton/scalar.hpp>
#include <proton/symbol.hpp>
#include <proton/timestamp.hpp>
#include <proton/uuid.hpp>

#include "tests/support/catch.h"

using namespace trunkline;

namespace {

const SteadyTime kDeadline(std::chrono::seconds(45));

proton::message command_message() {
  proton::message message;
  message.body(proton::binary("on"));
  message.message_annotations().put(proton::symbol("x-opt-sequence-number"), std::uint64_t{17});
  return message;
}

Result<Command> decode(const proton::message& message) {
  std::vector<char> bytes;
  message.encode(bytes);
  hub::CommandDecoder decoder;
  return decoder.decode(*DeviceId::parse("d"), std::string_view(bytes.data(), bytes.size()), kDeadline);
}

}  // namespace

TEST_CASE("a cloud-to-device message becomes a command") {
  auto message = command_message();
  message.id("m-1");
  message.correlation_id("c-1");
  message.content_type("application/json");
  message.expiry_time(proton::timestamp(1'700'000'000'000));
  message.message_annotations().put(proton::symbol("iothub-deliverycount"), std::uint8_t{3});
  message.message_annotations().put(proton::symbol("iothub-enqueuedtime"), proton::timestamp(1'600'000'000'000));
  message.properties().put("speed", "fast");
  message.properties().put("iothub-ack", "full");
  message.properties().put("level", std::int32_t{5});
  const auto command = decode(message);
  REQUIRE(command);
  CHECK(command->device.text() == "d");
  CHECK(command->sequence == 17);
  CHECK(command->id == "m-1");
  CHECK(command->correlation_id == "c-1");
  CHECK(command->content_type == "application/json");
  CHECK(command->body == "on");
  CHECK(command->expires == WallTime(Milliseconds(1'700'000'000'000)));
  CHECK(command->enqueued == WallTime(Milliseconds(1'600'000'000'000)));
  CHECK(command->delivery_count == 3);
  CHECK(command->deadline == kDeadline);
  CHECK(command->properties == std::vector<Property>{{"iothub-ack", "full"}, {"level", "5"}, {"speed", "fast"}});
}

TEST_CASE("a sequence number may be a long as well") {
  auto message = command_message();
  message.message_annotations().put(proton::symbol("x-opt-sequence-number"), std::int64_t{18});
  CHECK(decode(message)->sequence == 18);
}

TEST_CASE("an id of any AMQP type has a text") {
  auto message = command_message();
  CHECK(decode(message)->id.empty());
  message.id(std::uint64_t{42});
  CHECK(decode(message)->id == "42");
  message.id(proton::uuid::copy("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"));
  CHECK(decode(message)->id == "00112233-4455-6677-8899-aabbccddeeff");
  message.id(proton::binary("\x01\xff"));
  CHECK(decode(message)->id == "01ff");
}

TEST_CASE("a body may be text or nothing, and may hold any byte") {
  auto message = command_message();
  message.body(std::string("text"));
  CHECK(decode(message)->body == "text");
  message.body(proton::value());
  CHECK(decode(message)->body.empty());
  message.body(proton::binary(std::string("\0\xFF", 2)));
  CHECK(decode(message)->body == std::string("\0\xFF", 2));
}

TEST_CASE("what is no command is refused with a reason") {
  hub::CommandDecoder decoder;
  const auto device = *DeviceId::parse("d");
  for (const auto& bytes : {std::string(), std::string("garbage"), std::string("\0\x53\x75\xA0\x05x", 6)}) {
    const auto decoded = decoder.decode(device, bytes, kDeadline);
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().code == ErrorCode::invalid);
    CHECK_FALSE(decoded.error().message.empty());
  }
  proton::message no_sequence;
  no_sequence.body(proton::binary("on"));
  CHECK_FALSE(decode(no_sequence));
  auto wrong_body = command_message();
  wrong_body.body(std::int32_t{1});
  CHECK_FALSE(decode(wrong_body));
  auto wrong_sequence = command_message();
  wrong_sequence.message_annotations().put(proton::symbol("x-opt-sequence-number"), std::string("x"));
  CHECK_FALSE(decode(wrong_sequence));
}
