// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/amqp/engine.h"
#include "gateway/base/json.h"
#include "gateway/base/result.h"

namespace trunkline::hubsim {

// Typed reading of a control request's members; a missing one is its default, one of a wrong type is an error that
// names it. The first error is kept, so that an operation reads everything and asks once.
class Request {
 public:
  explicit Request(const json::object& object) : object_(object) {}

  std::string text(std::string_view name, std::string_view otherwise = {});
  std::int64_t number(std::string_view name, std::int64_t otherwise);
  bool flag(std::string_view name, bool otherwise);
  amqp::Condition condition(std::string_view name_otherwise, std::string_view description_otherwise);
  [[nodiscard]] bool has(std::string_view name) const { return object_.contains(name); }
  [[nodiscard]] const json::object& object() const { return object_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  void wrong(std::string_view name, std::string_view wanted);
  const json::object& object_;
  std::string error_;
};

}  // namespace trunkline::hubsim
