// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/method_answer.h"

#include <utility>

#include "gateway/base/encoding.h"
#include "gateway/mapping/json_text.h"

namespace trunkline {
namespace {

// Statuses are a device's own business; the hub carries an int, and people read three digits.
bool is_status(const json::value& value) {
  return value.is_int64() && value.get_int64() >= 0 && value.get_int64() <= 999'999;
}

MethodResponse from_json(json::value value) {
  auto* object = value.if_object();
  const auto* said = object != nullptr ? object->if_contains("status") : nullptr;
  if (said == nullptr || !is_status(*said)) return {200, json_text(value)};
  const auto status = static_cast<int>(said->get_int64());
  if (const auto* payload = object->if_contains("payload")) return {status, json_text(*payload)};
  object->erase("status");
  object->erase("id");
  return {status, object->empty() ? "null" : json_text(value)};
}

MethodResponse read(std::string_view text, std::optional<int> status) {
  if (text.empty()) return {status.value_or(200), "null"};
  if (!is_utf8(text)) {
    return {status.value_or(200), json::serialize(json::object{{"base64", base64_encode(text)}})};
  }
  auto value = read_json(text);
  if (!value) return {status.value_or(200), json::serialize(json::value(json::string(text.data(), text.size())))};
  if (status) return {*status, std::string(text)};
  return from_json(std::move(*value));
}

}  // namespace

MethodResponse read_answer(std::string_view text, std::optional<int> status) {
  constexpr auto kTooLarge = "the device's answer is larger than the 128 KiB that the hub carries";
  if (text.size() > MethodResponse::kMaxPayload) return own_answer(MethodResponse::kUnusable, kTooLarge);
  auto out = read(text, status);
  // Escapes and base64 may have made it longer.
  if (out.payload.size() > MethodResponse::kMaxPayload) return own_answer(MethodResponse::kUnusable, kTooLarge);
  return out;
}

MethodResponse own_answer(int status, std::string_view why) {
  return {status, json::serialize(json::object{{"error", json::string_view(why.data(), why.size())}})};
}

}  // namespace trunkline
