// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/core/message.h"

namespace trunkline {

// Everything of a message but its body, as one blob of a spool row: a version byte, then strings with a little-endian
// 32-bit length in front: content type, content encoding, source key, and name and value of each property. Pure.
// Decoding refuses lengths that do not fit and returns nothing; the body and the source are the row's own columns.
std::string encode_head(const Telemetry& telemetry);
std::optional<Telemetry> decode_head(const DeviceId& device, std::string_view blob);

}  // namespace trunkline
