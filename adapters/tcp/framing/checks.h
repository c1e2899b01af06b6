// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/mapping/framing.h"

namespace trunkline::tcp {

// Check values of serial protocols. Pure.

constexpr std::uint16_t kCrcStart = 0xFFFF;
// CRC-16/MODBUS goes on from `crc`; over a frame with its check, low byte first, it comes to 0.
std::uint16_t crc16(std::string_view bytes, std::uint16_t crc = kCrcStart);

std::uint8_t xor_of(std::string_view bytes);
std::uint8_t sum_of(std::string_view bytes);

// The check as it stands in a frame: raw bytes, or capital hexadecimal digits.
std::string check_value(FrameCheck check, bool hex, std::string_view bytes);
std::size_t check_size(FrameCheck check, bool hex);
// Either case of a digit is right.
bool check_matches(FrameCheck check, bool hex, std::string_view bytes, std::string_view found);

// In the header, because scanners ask for each byte.
inline std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

// Two digits.
inline std::optional<std::uint8_t> hex_byte(std::string_view two) {
  if (two.size() != 2) return std::nullopt;
  const auto high = hex_digit(two[0]);
  const auto low = hex_digit(two[1]);
  if (!high || !low) return std::nullopt;
  return static_cast<std::uint8_t>(*high * 16 + *low);
}

}  // namespace trunkline::tcp
