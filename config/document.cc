// SPDX-License-Identifier: Apache-2.0
#include "config/document.h"

#include <algorithm>

#include "config/text_check.h"

// toml++ 3.3.0 asserts (with Clang and NDEBUG: assumes) that a key starts behind a "[", and handles the case that it
// does not right behind the assertion. A slip of the operator must neither abort nor be undefined.
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

namespace trunkline::config {
namespace {

Mark mark_of(const toml::source_position& position) {
  return {static_cast<std::uint32_t>(position.line), static_cast<std::uint32_t>(position.column)};
}

Node convert(const toml::node& node);

Table convert_table(const toml::table& table) {
  Table out;
  out.entries.reserve(table.size());
  for (const auto& [key, value] : table) {
    out.entries.push_back({std::string(key.str()), mark_of(key.source().begin), convert(value)});
  }
  return out;
}

Node convert(const toml::node& node) {
  Node out;
  out.mark = mark_of(node.source().begin);
  switch (node.type()) {
    case toml::node_type::table:
      out.value = convert_table(*node.as_table());
      break;
    case toml::node_type::array: {
      Array items;
      items.items.reserve(node.as_array()->size());
      for (const auto& item : *node.as_array()) items.items.push_back(convert(item));
      out.value = std::move(items);
      break;
    }
    case toml::node_type::string:
      out.value = node.as_string()->get();
      break;
    case toml::node_type::integer:
      out.value = node.as_integer()->get();
      break;
    case toml::node_type::floating_point:
      out.value = node.as_floating_point()->get();
      break;
    case toml::node_type::boolean:
      out.value = node.as_boolean()->get();
      break;
    default:
      out.value = OtherType{};
  }
  return out;
}

}  // namespace

std::string_view Node::type_name() const {
  static constexpr std::string_view kNames[] = {"a date or time", "a boolean", "an integer", "a fraction",
                                                "a string",       "an array",  "a table"};
  return kNames[value.index()];
}

Document parse_document(std::string file, std::string_view text) {
  Document out;
  out.file = std::move(file);
  if (const auto fault = find_text_fault(text)) {
    out.problems.push_back(
        {{out.file, fault->mark.line, fault->mark.column}, "not valid TOML: " + std::string(fault->message)});
    return out;
  }
  const toml::parse_result result = toml::parse(text, std::string_view(out.file));
  if (!result) {
    const auto mark = mark_of(result.error().source().begin);
    std::string description(result.error().description());
    description.resize(std::min<std::size_t>(description.size(), 300));
    out.problems.push_back({{out.file, mark.line, mark.column}, "not valid TOML: " + description});
    return out;
  }
  out.root.mark = {1, 1};
  out.root.value = convert_table(result.table());
  out.usable = true;
  return out;
}

}  // namespace trunkline::config
