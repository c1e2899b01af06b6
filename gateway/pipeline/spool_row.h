// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <string>
#include <string_view>

#include "gateway/core/message.h"

namespace trunkline {

// Everything of a message but its body, as one blob of a spool row: a version byte, then strings with a little-endian
// 32-bit length in front: content type, content encoding, source key, device time (decimal milliseconds or empty;
// not in version 1), and name and value of each property. Pure.
// Decoding refuses lengths that do not fit and returns nothing; the body and the source are the row's own columns.
std::string encode_head(const Telemetry& telemetry);
void append_head(std::string& blob, const Telemetry& telemetry);
std::optional<Telemetry> decode_head(const DeviceId& device, std::string_view blob);

// Binds the seven columns that `message` and `dead_letter` have in common: id, device, received, source, footprint,
// head, body. The message must live until the statement was executed.
void bind_message(SQLite::Statement& statement, const Message& message, std::int64_t device);
// From the columns source, head, body, starting with `column`; nothing if the head is unreadable.
std::optional<Telemetry> read_telemetry(const DeviceId& device, SQLite::Statement& row, int column);

}  // namespace trunkline
