// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/byte_text.h"

#include <charconv>

namespace trunkline {

Result<std::string> parse_byte_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char what = ++i < text.size() ? text[i] : ' ';
    if (what == 'x') {
      const auto digits = text.substr(i + 1, 2);
      unsigned value = 0;
      const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
      if (failed != std::errc{} || digits.size() != 2 || end != digits.data() + 2) {
        return fail(ErrorCode::invalid, "\"\\x\" needs two hexadecimal digits, such as \"\\x02\"");
      }
      out += static_cast<char>(value);
      i += 2;
      continue;
    }
    constexpr std::string_view kNames = "rnt0\\";
    constexpr std::string_view kBytes("\r\n\t\0\\", 5);
    const auto which = kNames.find(what);
    if (which == std::string_view::npos) {
      return fail(ErrorCode::invalid, R"(a backslash stands before xHH, r, n, t, 0 or another backslash)");
    }
    out += kBytes[which];
  }
  return out;
}

}  // namespace trunkline
