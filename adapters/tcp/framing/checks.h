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

std::optional<std::uint8_t> hex_digit(char c);
// Two digits.
std::optional<std::uint8_t> hex_byte(std::string_view two);

}  // namespace trunkline::tcp
