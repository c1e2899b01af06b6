// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trunkline::config {

// Single-character insertions, deletions, replacements and swaps of neighbours between two words.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The known word that was most likely meant, if one is near enough. Pure.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known);

// `text` for a message: quoted, control bytes and broken UTF-8 escaped, cut at 64 bytes.
std::string in_quotes(std::string_view text);

}  // namespace trunkline::config
