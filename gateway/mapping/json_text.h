// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/json.h"
#include "gateway/base/result.h"

namespace trunkline {

// JSON with numbers as people write them: 21.5, where Boost.JSON writes 2.15E1. Pure.
std::string json_text(const json::value& value);

// Strict JSON of bounded depth; invalid tells what is wrong without quoting the payload (S-01).
Result<json::value> read_json(std::string_view text);

}  // namespace trunkline
