// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/core/message.h"

namespace trunkline {

// A regular expression (Perl's syntax) over bytes, with (?<name>…) for what it captures. An immutable value, any
// thread. It looks at the first kMost bytes of a text only and gives up on what would take too long, so that no peer
// makes us slow.
class Pattern {
 public:
  static constexpr std::size_t kMost = 4096;

  // invalid: no regular expression, or one of more than 512 bytes; with the place of the fault.
  static Result<Pattern> parse(std::string_view text);

  // Found anywhere in `text`: the first group, or without groups all that matched.
  [[nodiscard]] std::optional<std::string> find(std::string_view text) const;
  // The named groups that took part; nothing without a match.
  [[nodiscard]] std::optional<std::vector<Property>> find_all(std::string_view text) const;

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  friend bool operator==(const Pattern& a, const Pattern& b) { return a.text_ == b.text_; }

 private:
  struct Compiled;
  Pattern(std::string text, std::shared_ptr<const Compiled> compiled, std::vector<std::string> names);

  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
  std::vector<std::string> names_;
};

}  // namespace trunkline
