// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/pair_codec.h"

#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/map.hpp>
#include <proton/scalar.hpp>
#include <proton/symbol.hpp>
#include <proton/uuid.hpp>

#include "tests/support/catch.h"

using namespace trunkline;
using hub::PairCodec;

namespace {

std::string bytes_of(const proton::message& message) {
  std::vector<char> out;
  message.encode(out);
  return {out.begin(), out.end()};
}

proton::message read(std::string_view bytes) {
  proton::message out;
  out.decode({bytes.begin(), bytes.end()});
  return out;
}

std::string body(const proton::message& message) {
  const auto bytes = proton::get<proton::binary>(message.body());
  return {bytes.begin(), bytes.end()};
}

proton::message with_body(const std::string& text) {
  proton::message out;
  out.inferred(true);
  out.body(proton::binary(text.begin(), text.end()));
  return out;
}

std::string annotation(const proton::message& message, const char* name) {
  const auto value = message.message_annotations().get(proton::symbol(name));
  return value.empty() ? std::string() : proton::get<std::string>(value);
}

}  // namespace

TEST_CASE("a method's response carries the request's correlation id in value and type") {
  PairCodec codec;
  const auto id = proton::uuid::random();
  auto request = with_body(R"({"delay":5})");
  request.correlation_id(id);
  request.properties().put("IoThub-methodname", std::string("restart"));
  const auto method = codec.method(bytes_of(request));
  REQUIRE(method);
  CHECK(method->call.name == "restart");
  CHECK(method->call.payload == R"({"delay":5})");
  const auto response = read(codec.response(method->correlation, {207, R"("ok")"}));
  REQUIRE(response.correlation_id().type() == proton::UUID);
  CHECK(proton::get<proton::uuid>(response.correlation_id()) == id);
  const auto status = response.properties().get("IoThub-status");
  REQUIRE(status.type() == proton::INT);
  CHECK(proton::get<std::int32_t>(status) == 207);
  CHECK(response.inferred());
  CHECK(body(response) == R"("ok")");
}

TEST_CASE("what is no method is refused by its reason") {
  PairCodec codec;
  CHECK_FALSE(codec.method("nonsense"));
  auto nameless = with_body("{}");
  nameless.correlation_id(proton::uuid::random());
  CHECK_FALSE(codec.method(bytes_of(nameless)));
  auto orphan = with_body("{}");
  orphan.properties().put("IoThub-methodname", std::string("x"));
  CHECK_FALSE(codec.method(bytes_of(orphan)));
}

TEST_CASE("twin requests are as the hub's documentation has them") {
  PairCodec codec;
  const auto subscribe = read(codec.request({TwinRequest::Kind::subscribe, 7, {}}));
  CHECK(proton::get<std::string>(subscribe.correlation_id()) == "7");
  CHECK(annotation(subscribe, "operation") == "PUT");
  CHECK(annotation(subscribe, "resource") == "/notifications/twin/properties/desired");
  const auto get = read(codec.request({TwinRequest::Kind::get, 8, {}}));
  CHECK(annotation(get, "operation") == "GET");
  CHECK(annotation(get, "resource").empty());
  const auto report = read(codec.request({TwinRequest::Kind::report, 9, R"({"t":1})"}));
  CHECK(annotation(report, "operation") == "PATCH");
  CHECK(annotation(report, "resource") == "/properties/reported");
  CHECK(body(report) == R"({"t":1})");
}

TEST_CASE("an answer is told from a notification by its correlation id") {
  PairCodec codec;
  auto answer = with_body("{}");
  answer.correlation_id(std::string("42"));
  answer.message_annotations().put(proton::symbol("status"), std::int32_t{204});
  answer.message_annotations().put(proton::symbol("version"), std::int64_t{6});
  const auto read_answer = codec.twin(bytes_of(answer));
  REQUIRE(read_answer);
  const auto& news = std::get<TwinAnswer>(*read_answer);
  CHECK(news.number == 42);
  CHECK(news.status == 204);
  CHECK(news.version == 6);

  const auto patch = codec.twin(bytes_of(with_body(R"({"rate":5,"$version":3})")));
  REQUIRE(patch);
  CHECK(std::get<std::string>(*patch) == R"({"rate":5,"$version":3})");

  proton::message bare;
  bare.correlation_id(std::string("1"));
  REQUIRE(codec.twin(bytes_of(bare)));
  CHECK(std::get<TwinAnswer>(*codec.twin(bytes_of(bare))).status == 200);

  auto foreign = with_body("{}");
  foreign.correlation_id(std::string("not ours"));
  CHECK_FALSE(codec.twin(bytes_of(foreign)));
  CHECK_FALSE(codec.twin("nonsense"));
}
