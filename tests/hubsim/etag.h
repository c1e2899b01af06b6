// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "gateway/base/encoding.h"

namespace trunkline::hubsim {

// An entity tag as the hub writes them: a counter's eight bytes in base64, without quotation marks.
inline std::string etag_text(std::uint64_t counter) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(counter >> shift & 0xFF));
  return base64_encode(bytes);
}

}  // namespace trunkline::hubsim
