// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.h"

namespace trunkline::config {

// Line and column within one file, from 1.
struct Mark {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Entry;
struct Node;

struct Table {
  std::vector<Entry> entries;  // each name once
};
struct Array {
  std::vector<Node> items;
};
// A TOML type that no option has: dates and times.
struct OtherType {};

// One TOML value with its place, free of the library that read it.
struct Node {
  Mark mark;
  std::variant<OtherType, bool, std::int64_t, double, std::string, Array, Table> value;

  [[nodiscard]] const Table* table() const { return std::get_if<Table>(&value); }
  [[nodiscard]] const Array* array() const { return std::get_if<Array>(&value); }
  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&value); }
  // "a string", "an integer", … for messages.
  [[nodiscard]] std::string_view type_name() const;
};

struct Entry {
  std::string name;
  Mark mark;  // of the key
  Node value;
};

// A file that was read: its root, or what is wrong with its syntax.
struct Document {
  std::string file;
  bool usable = false;
  Node root;
  std::vector<Problem> problems;
};

// Parses TOML text. Never throws; bounded in depth whatever the text, so that neither parsing nor freeing it exhausts
// the stack. Pure.
Document parse_document(std::string file, std::string_view text);

}  // namespace trunkline::config
