// SPDX-License-Identifier: Apache-2.0
#include "config/written.h"

#include <cstdio>
#include <string_view>

namespace trunkline::config {
namespace {

std::string inline_text(const Node& node) {
  if (const auto* value = std::get_if<bool>(&node.value)) return *value ? "true" : "false";
  if (const auto* value = std::get_if<std::int64_t>(&node.value)) return std::to_string(*value);
  if (const auto* value = std::get_if<double>(&node.value)) {
    char out[64];
    std::snprintf(out, sizeof out, "%.17g", *value);
    return out;
  }
  if (const auto* value = node.text()) return toml_text(*value);
  std::string out;
  if (const auto* array = node.array()) {
    for (const auto& item : array->items) out += (out.empty() ? "" : ", ") + inline_text(item);
    return "[" + out + "]";
  }
  if (const auto* table = node.table()) {
    WrittenMap sorted;
    for (const auto& entry : table->entries) sorted.emplace(entry.name, inline_text(entry.value));
    for (const auto& [name, value] : sorted) out += (out.empty() ? "" : ", ") + name + " = " + value;
    return "{ " + out + " }";
  }
  return "?";
}

void flatten(const Table& table, const std::string& path, WrittenMap& into) {
  for (const auto& entry : table.entries) {
    const auto name = path.empty() ? entry.name : path + "." + entry.name;
    if (const auto* inner = entry.value.table(); inner != nullptr && !inner->entries.empty()) {
      flatten(*inner, name, into);
    } else {
      into.emplace(name, inline_text(entry.value));
    }
  }
}

}  // namespace

std::string toml_text(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::shared_ptr<const WrittenMap> written_of(const Table& table) {
  auto out = std::make_shared<WrittenMap>();
  flatten(table, "", *out);
  return out;
}

}  // namespace trunkline::config
