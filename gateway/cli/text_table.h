// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trunkline::cli {

// Columns of text under a heading, as wide as they need to be. Control characters in cells become "?": names come from
// outside and must not drive the terminal. Pure.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> heading);
  void add(std::vector<std::string> row);  // as many cells as the heading
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// `text` on one line without control characters.
std::string plain(std::string_view text);

// A number as printf(3) writes it by `form`; bytes and durations in the unit that reads best.
std::string number_text(const char* form, double value);
std::string size_text(double bytes);
std::string time_text(double seconds);

}  // namespace trunkline::cli
