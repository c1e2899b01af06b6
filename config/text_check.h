// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "config/document.h"

namespace trunkline::config {

struct TextFault {
  Mark mark;
  std::string_view message;
};

// Finds what toml++ must not be given: control characters and characters outside ASCII where TOML has none
// (toml++ 3.3.0 runs into undefined behaviour on the latter), and lines whose dotted keys would nest too deep. It
// agrees with a TOML parser about where strings and comments are as long as the text is valid up to there. Pure.
std::optional<TextFault> find_text_fault(std::string_view text);

}  // namespace trunkline::config
