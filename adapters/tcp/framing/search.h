// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>

namespace trunkline::tcp {

// libstdc++'s find_first_of and rfind call a function for each byte, which is what a scanner then does most of the
// time.

// The first of two bytes, from `from` on; npos if there is none.
inline std::size_t find_either(std::string_view bytes, char a, char b, std::size_t from = 0) {
  if (from >= bytes.size()) return std::string_view::npos;
  const auto* begin = bytes.data();
  const auto* end = begin + bytes.size();
  const auto* found = std::find_if(begin + from, end, [a, b](char c) { return c == a || c == b; });
  return found == end ? std::string_view::npos : static_cast<std::size_t>(found - begin);
}

// The last place of `mark`, searched from the front: a mark within a frame is rare.
inline std::size_t find_last(std::string_view bytes, std::string_view mark, std::size_t from) {
  auto last = std::string_view::npos;
  for (auto at = bytes.find(mark, from); at != std::string_view::npos; at = bytes.find(mark, at + 1)) last = at;
  return last;
}

}  // namespace trunkline::tcp
