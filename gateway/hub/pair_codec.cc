// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/pair_codec.h"

#include <charconv>
#include <cstdint>
#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/error.hpp>
#include <proton/map.hpp>
#include <proton/scalar.hpp>
#include <proton/symbol.hpp>
#include <proton/types.hpp>
#include <stdexcept>

#include "gateway/amqp/engine.h"
#include "gateway/hub/message_body.h"

namespace trunkline::hub {

namespace {

constexpr const char* kMethodName = "IoThub-methodname";
constexpr const char* kMethodStatus = "IoThub-status";

proton::symbol symbol(const char* text) {
  return proton::symbol(text);
}

proton::binary bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

}  // namespace

void PairCodec::decode(std::string_view bytes) {
  buffer_.assign(bytes.begin(), bytes.end());
  message_.clear();
  message_.decode(buffer_);
}

std::string_view PairCodec::encoded() {
  message_.encode(buffer_);
  return {buffer_.data(), buffer_.size()};
}

Result<PairCodec::Method> PairCodec::method(std::string_view bytes) {
  try {
    decode(bytes);
    Method out;
    out.correlation = message_.correlation_id();
    if (out.correlation.empty()) throw std::invalid_argument("no correlation id");
    const auto name = message_.properties().get(kMethodName);
    if (name.type() != proton::STRING) throw std::invalid_argument("no method name");
    out.call = {proton::get<std::string>(name), body_of(message_.body())};
    return out;
  } catch (const std::exception& e) {
    return fail(ErrorCode::invalid, amqp::printable(e.what()));
  }
}

std::string_view PairCodec::response(const proton::message_id& correlation, const MethodResponse& response) {
  message_.clear();
  message_.correlation_id(correlation);
  message_.properties().put(kMethodStatus, std::int32_t{response.status});
  message_.inferred(true);
  message_.body(bytes_of(response.payload));
  return encoded();
}

Result<PairCodec::TwinNews> PairCodec::twin(std::string_view bytes) {
  try {
    decode(bytes);
    // The absence of a correlation id, and this alone, marks a change of the desired properties (gotcha 13).
    if (message_.correlation_id().empty()) return TwinNews(body_of(message_.body()));
    TwinAnswer out;
    const auto id = proton::to_string(message_.correlation_id());
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), out.number);
    if (error != std::errc() || end != id.data() + id.size()) throw std::invalid_argument("not our correlation id");
    const auto& annotations = message_.message_annotations();
    const auto status = annotations.get(symbol("status"));
    out.status = status.empty() ? 200 : proton::coerce<std::int32_t>(status);
    const auto version = annotations.get(symbol("version"));
    if (!version.empty()) out.version = proton::coerce<std::int64_t>(version);
    out.document = body_of(message_.body());
    return TwinNews(std::move(out));
  } catch (const std::exception& e) {
    return fail(ErrorCode::invalid, amqp::printable(e.what()));
  }
}

std::string_view PairCodec::request(const TwinRequest& request) {
  message_.clear();
  message_.correlation_id(std::to_string(request.number));
  auto& annotations = message_.message_annotations();
  message_.inferred(true);
  switch (request.kind) {
    case TwinRequest::Kind::subscribe:
      annotations.put(symbol("operation"), std::string("PUT"));
      annotations.put(symbol("resource"), std::string("/notifications/twin/properties/desired"));
      message_.body(bytes_of(" "));
      break;
    case TwinRequest::Kind::get:
      annotations.put(symbol("operation"), std::string("GET"));
      message_.body(bytes_of(" "));
      break;
    case TwinRequest::Kind::report:
      annotations.put(symbol("operation"), std::string("PATCH"));
      annotations.put(symbol("resource"), std::string("/properties/reported"));
      message_.body(bytes_of(request.patch));
      break;
  }
  return encoded();
}

}  // namespace trunkline::hub
