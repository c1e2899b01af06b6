// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "gateway/base/json.h"
#include "gateway/base/result.h"

namespace trunkline {

// What the hub keeps of a twin, and what it refuses (hub-amqp-protocol.md 7.4). Pure.
inline constexpr std::size_t kMaxTwinBytes = 32 * 1024;  // of either properties

// Reads a patch of properties. invalid: it is no JSON object, or the hub would refuse it; the reason names the member.
Result<json::object> read_properties(std::string_view text);

// As the hub counts: names, texts, 8 for a number, 4 for a truth value.
std::size_t twin_bytes(const json::value& value);

}  // namespace trunkline
