// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/message.h"

#include "gateway/base/encoding.h"
#include "tests/hubsim/amqp_value.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::hubsim;

namespace {

std::string unhex(const std::string& text) {
  return hex_decode(text).value();
}

std::string encode(const Message& message) {
  std::string out;
  append_properties(out, message);
  append_application_properties(out, message.properties);
  append_data(out, message.body);
  return out;
}

Message sample() {
  Message message;
  message.message_id = "m1";
  message.user_id = "hub1";
  message.to = "/devices/d1/messages/devicebound";
  message.correlation_id = "c1";
  message.content_type = "application/json";
  message.content_encoding = "utf-8";
  message.absolute_expiry_time = 1'700'000'000'123;
  message.properties = {{"a", "1"}, {"b", std::string(300, 'x')}};
  message.body = std::string("\0\1body", 6);
  return message;
}

}  // namespace

TEST_CASE("a message comes back from its encoding") {
  const auto message = decode_message(encode(sample())).value();
  CHECK(message.message_id == "m1");
  CHECK(message.user_id == "hub1");
  CHECK(message.to == "/devices/d1/messages/devicebound");
  CHECK(message.correlation_id == "c1");
  CHECK(message.content_type == "application/json");
  CHECK(message.content_encoding == "utf-8");
  CHECK(message.absolute_expiry_time == 1'700'000'000'123);
  CHECK(message.properties == sample().properties);
  CHECK(message.body == sample().body);
  CHECK(find_property(message, "a") != nullptr);
  CHECK(find_property(message, "A") == nullptr);
}

TEST_CASE("identifiers keep their AMQP type") {
  // properties list: message-id of each type alone; body empty
  const auto id_of = [](const std::string& id) {
    std::string payload = unhex("005373");
    wire::put_list(payload, 1, id);
    return decode_message(payload).value();
  };
  auto message = id_of(unhex("530a"));
  CHECK((message.message_id == "10" && message.message_id_raw == unhex("530a")));
  message = id_of(unhex("98000102030405060708090a0b0c0d0e0f"));
  CHECK(message.message_id == "00010203-0405-0607-0809-0a0b0c0d0e0f");
  message = id_of(unhex("a0020aff"));
  CHECK(message.message_id == "0aff");
  message = id_of(unhex("40"));
  CHECK((message.message_id.empty() && message.message_id_raw.empty()));
}

TEST_CASE("sections are read in any order") {
  Message message = sample();
  std::string payload;
  append_data(payload, "x");
  append_application_properties(payload, message.properties);
  append_properties(payload, message);
  const auto read = decode_message(payload).value();
  CHECK((read.body == "x" && read.message_id == "m1" && read.properties.size() == 2));
}

TEST_CASE("every cut and every flipped byte of a message is read or refused, never more") {
  const auto payload = encode(sample());
  for (std::size_t size = 0; size < payload.size(); ++size) {
    if (const auto read = decode_message(payload.substr(0, size))) CHECK(read->body.size() <= payload.size());
  }
  for (std::size_t at = 0; at < payload.size(); ++at) {
    auto broken = payload;
    broken[at] = static_cast<char>(broken[at] ^ '\xFF');
    if (const auto read = decode_message(broken)) CHECK(read->body.size() <= payload.size());
  }
  CHECK_FALSE(decode_message(""));
  CHECK_FALSE(decode_message("hello"));
  // A list that claims four thousand million elements in four bytes.
  CHECK_FALSE(decode_message(unhex("005373d000000004ffffffff")));
}

TEST_CASE("a batch is known by Data sections that hold messages") {
  Message one = sample();
  Message two = sample();
  two.message_id = "m2";
  std::string batch;
  append_data(batch, encode(one));
  append_data(batch, encode(two));
  const auto inner = split_batch(batch);
  REQUIRE(inner);
  REQUIRE(inner->size() == 2);
  CHECK(decode_message((*inner)[1])->message_id == "m2");
}

TEST_CASE("an ordinary message is no batch, whatever its body looks like") {
  CHECK_FALSE(split_batch(encode(sample())));
  std::string plain;
  append_data(plain, "hello");
  CHECK_FALSE(split_batch(plain));
  std::string alike;
  append_data(alike, unhex("00537542"));
  CHECK_FALSE(split_batch(alike));
  CHECK_FALSE(split_batch(""));
}

TEST_CASE("the metered size counts body, system property values and user properties") {
  Message message;
  message.body = "12345";
  message.message_id = "ab";
  message.properties = {{"name", "value"}};
  CHECK(metered_size(message) == 5 + 2 + 4 + 5);
}
