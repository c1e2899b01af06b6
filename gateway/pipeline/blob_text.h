// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trunkline {

// Strings in a blob of the spool: a little-endian 32-bit length in front of each.

inline void put_text(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 0xFF);
  out += text;
}

// False: the length does not fit.
inline bool get_text(std::string_view& in, std::string& text) {
  if (in.size() < 4) return false;
  std::uint32_t size = 0;
  for (unsigned i = 0; i < 4; ++i) size |= static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  in.remove_prefix(4);
  if (in.size() < size) return false;
  text.assign(in.substr(0, size));
  in.remove_prefix(size);
  return true;
}

}  // namespace trunkline
