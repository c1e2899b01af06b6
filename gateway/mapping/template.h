// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/core/message.h"

namespace trunkline {

// A text with {name} fields, "{{" and "}}" for the braces themselves. Pure value; parsed once by config, so that an
// unknown field is an error with a place, and filled per command.
class Template {
 public:
  using Values = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // `allowed` are the names that may occur; another one, an unclosed brace or an empty name is ErrorCode::invalid.
  static Result<Template> parse(std::string_view text, std::span<const std::string_view> allowed);
  static Result<Template> parse(std::string_view text, std::initializer_list<std::string_view> allowed) {
    return parse(text, std::span(allowed.begin(), allowed.size()));
  }

  // Names that are not in `values` become empty.
  [[nodiscard]] std::string fill(Values values) const;
  [[nodiscard]] std::string fill(const std::vector<Property>& values) const;

  // The same with a function that appends what stands for a field; it sees what has been written so far, so that a
  // check value can be worked out.
  [[nodiscard]] std::string fill_by(const std::function<void(std::string& out, std::string_view name)>& append) const;

  // Does `text` match with each field standing for one or more characters? Returns the text of the field `wanted` (""
  // if the template has no such field), nothing if the text does not match. Fields match as little as possible.
  [[nodiscard]] std::optional<std::string> match(std::string_view text, std::string_view wanted) const;

  // The same for every field at once, in their order.
  [[nodiscard]] std::optional<std::vector<Property>> match_all(std::string_view text) const;

  // Every name that stands in braces in `text`, in order, whether allowed or not.
  static std::vector<std::string> names_in(std::string_view text);

  [[nodiscard]] bool has(std::string_view name) const;

 private:
  struct Part {
    bool field = false;
    std::string text;
  };
  std::vector<Part> parts_;
};

}  // namespace trunkline
