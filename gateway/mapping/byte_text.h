// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/result.h"

namespace trunkline {

// Bytes as an operator writes them: text in which "\x02" stands for one byte, "\r", "\n", "\t" and "\0" for their
// control characters and "\\" for a backslash. (TOML's own escapes cannot say a byte from 80 on.) Any other backslash
// is ErrorCode::invalid. Pure.
Result<std::string> parse_byte_text(std::string_view text);

}  // namespace trunkline
