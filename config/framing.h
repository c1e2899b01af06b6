// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "config/table_reader.h"
#include "gateway/mapping/framing.h"

namespace trunkline::config {

// Reads `tcp.framing = { kind = …, … }`: each kind has its own options, and one that the kind does not read is a
// problem where it stands. Pure.
void read_framing(const Entry& entry, Findings& findings, Framing& framing);

// Text with byte escapes (gateway/mapping/byte_text.h), at most `most` bytes.
std::optional<Found<std::string>> read_bytes(TableReader& reader, std::string_view key, std::size_t most);

}  // namespace trunkline::config
