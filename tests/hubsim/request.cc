// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/request.h"

namespace trunkline::hubsim {

std::string Request::text(std::string_view name, std::string_view otherwise) {
  const auto* value = object_.if_contains(name);
  if (value == nullptr) return std::string(otherwise);
  if (const auto* string = value->if_string()) return std::string(*string);
  wrong(name, "a string");
  return {};
}

std::int64_t Request::number(std::string_view name, std::int64_t otherwise) {
  const auto* value = object_.if_contains(name);
  if (value == nullptr) return otherwise;
  if (const auto* integer = value->if_int64()) return *integer;
  wrong(name, "an integer");
  return otherwise;
}

bool Request::flag(std::string_view name, bool otherwise) {
  const auto* value = object_.if_contains(name);
  if (value == nullptr) return otherwise;
  if (const auto* boolean = value->if_bool()) return *boolean;
  wrong(name, "true or false");
  return otherwise;
}

amqp::Condition Request::condition(std::string_view name_otherwise, std::string_view description_otherwise) {
  return {text("condition", name_otherwise), text("description", description_otherwise)};
}

void Request::wrong(std::string_view name, std::string_view wanted) {
  if (error_.empty()) error_ = std::string(name) + " must be " + std::string(wanted);
}

}  // namespace trunkline::hubsim
