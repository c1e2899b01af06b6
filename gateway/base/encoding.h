// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/base/result.h"

namespace trunkline {

// RFC 4648 section 4, with padding. Decoding refuses anything but the canonical alphabet and padding; white space at
// the end is the caller's to strip.
std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);

std::string hex_encode(std::string_view bytes);
Result<std::string> hex_decode(std::string_view text);

// RFC 3986 section 2.1: everything but unreserved characters is encoded, with upper-case digits. Decoding refuses a "%"
// without two hex digits.
std::string percent_encode(std::string_view bytes);
Result<std::string> percent_decode(std::string_view text);

// True for well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view bytes);

}  // namespace trunkline
