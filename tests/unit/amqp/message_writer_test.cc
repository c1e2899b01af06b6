// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/message_writer.h"

#include <proton/message.h>

#include <map>
#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/codec/map.hpp>
#include <proton/map.hpp>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <proton/scalar.hpp>
#include <proton/symbol.hpp>
#include <proton/timestamp.hpp>
#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace trunkline;
using amqp::BareMessage;
using amqp::NamedText;

namespace {

std::string encode(const BareMessage& message) {
  std::string out;
  REQUIRE(append(message, out));
  CHECK(out.size() == encoded_size(message));
  return out;
}

proton::message decode(const std::string& bytes) {
  proton::message message;
  message.decode(std::vector<char>(bytes.begin(), bytes.end()));
  return message;
}

std::string body_of(const proton::message& message) {
  const auto body = proton::get<proton::binary>(message.body());
  return std::string(body.begin(), body.end());
}

WallTime at(std::int64_t milliseconds) {
  return WallTime(Milliseconds(milliseconds));
}

std::map<std::string, std::string> application_properties(const proton::message& message) {
  std::map<std::string, proton::scalar> all;
  proton::get(message.properties(), all);
  std::map<std::string, std::string> texts;
  for (const auto& [name, value] : all) texts[name] = proton::get<std::string>(value);
  return texts;
}

}  // namespace

TEST_CASE("an encoded message is what Proton reads") {
  const std::vector<NamedText> annotations = {{"iothub-interface-id", "urn:x"}};
  const std::vector<NamedText> properties = {{"unit", "C"}, {"empty", ""}};
  BareMessage message;
  message.annotations = annotations;
  message.message_id = "id-1";
  message.to = "/devices/d/messages/events";
  message.correlation_id = "c-1";
  message.content_type = "application/json";
  message.content_encoding = "utf-8";
  message.absolute_expiry_time = at(1'700'000'000'123);
  message.creation_time = at(-1);
  message.application_properties = properties;
  message.body = std::string_view("{\"t\":\0}", 8);

  const auto read = decode(encode(message));
  CHECK(proton::get<std::string>(read.id()) == "id-1");
  CHECK(read.to() == "/devices/d/messages/events");
  CHECK(proton::get<std::string>(read.correlation_id()) == "c-1");
  CHECK(read.content_type() == "application/json");
  CHECK(read.content_encoding() == "utf-8");
  CHECK(read.expiry_time().milliseconds() == 1'700'000'000'123);
  CHECK(read.creation_time().milliseconds() == -1);
  CHECK(read.subject().empty());
  CHECK(read.reply_to().empty());
  CHECK(application_properties(read) == std::map<std::string, std::string>{{"unit", "C"}, {"empty", ""}});
  CHECK(proton::get<std::string>(read.message_annotations().get(proton::symbol("iothub-interface-id"))) == "urn:x");
  CHECK(body_of(read) == std::string("{\"t\":\0}", 8));
  CHECK(read.inferred());  // a Data section, not an AmqpValue holding binary
}

TEST_CASE("an empty message is one empty data section") {
  CHECK(encode({}) == std::string("\0\x53\x75\xA0\0", 5));
}

TEST_CASE("every length around a change of form decodes to itself") {
  for (const std::size_t size : {0U,   1U,   239U, 240U, 241U, 242U, 243U, 244U, 245U, 246U,    247U,    248U,
                                 249U, 250U, 251U, 252U, 253U, 254U, 255U, 256U, 257U, 65'535U, 65'536U, 300'000U}) {
    INFO("size " << size);
    const std::string text(size, 'y');
    const std::vector<NamedText> pair = {{"n", text}};
    BareMessage message;
    message.message_id = text;
    message.application_properties = pair;
    message.body = text;
    const auto read = decode(encode(message));
    if (size > 0) CHECK(proton::get<std::string>(read.id()) == text);
    CHECK(application_properties(read).at("n") == text);
    CHECK(body_of(read) == text);
  }
}

TEST_CASE("any number of properties decodes to itself") {
  for (const std::size_t count : {0U, 1U, 31U, 126U, 127U, 128U, 129U, 1000U}) {
    INFO("count " << count);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
    std::vector<NamedText> pairs;
    for (const auto& name : names) pairs.push_back({name, ""});
    BareMessage message;
    message.application_properties = pairs;
    CHECK(application_properties(decode(encode(message))).size() == count);
  }
}

TEST_CASE("random messages decode to themselves") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto text = [&](std::size_t most) {
    std::string result(std::uniform_int_distribution<std::size_t>(0, most)(random), 'a');
    for (char& c : result) c = static_cast<char>('a' + random() % 26);
    return result;
  };
  for (int round = 0; round < 500; ++round) {
    const auto id = text(300);
    const auto type = text(20);
    const auto value = text(400);
    const auto body = text(2000);
    const std::vector<NamedText> pairs = {{"k1", value}, {"k2", type}};
    BareMessage message;
    message.message_id = id;
    message.content_type = type;
    message.body = body;
    if (random() % 2 == 0) message.creation_time = at(static_cast<std::int64_t>(random()));
    message.application_properties = std::span(pairs).first(random() % 3);
    const auto read = decode(encode(message));
    CHECK(read.content_type() == type);
    CHECK(body_of(read) == body);
    CHECK(application_properties(read).size() == message.application_properties.size());
    if (message.creation_time) {
      CHECK(read.creation_time().milliseconds() == message.creation_time->time_since_epoch().count());
    }
  }
}

TEST_CASE("append keeps what the buffer holds") {
  std::string out = "before";
  BareMessage message;
  message.body = "x";
  REQUIRE(append(message, out));
  CHECK(out.substr(0, 6) == "before");
  CHECK(out.size() == 6 + encoded_size(message));
}

TEST_CASE("a message beyond the limit is refused before memory is taken") {
  std::string out;
  BareMessage message;
  message.body = std::string_view("0123456789");
  const auto refused = append(message, out, encoded_size(message) - 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::exhausted);
  CHECK(out.capacity() == std::string().capacity());
  CHECK(append(message, out, encoded_size(message)));
}
