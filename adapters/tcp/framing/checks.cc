// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/checks.h"

#include <algorithm>
#include <array>

namespace trunkline::tcp {

namespace {

constexpr std::array<std::uint16_t, 256> crc_table() {
  std::array<std::uint16_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    unsigned value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? (value >> 1U) ^ 0xA001U : value >> 1U;
    table[i] = static_cast<std::uint16_t>(value);
  }
  return table;
}

constexpr auto kCrcTable = crc_table();

}  // namespace

std::uint16_t crc16(std::string_view bytes, std::uint16_t crc) {
  for (const char c : bytes) {
    crc = static_cast<std::uint16_t>((crc >> 8U) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU]);
  }
  return crc;
}

std::uint8_t xor_of(std::string_view bytes) {
  unsigned out = 0;
  for (const char c : bytes) out ^= static_cast<unsigned char>(c);
  return static_cast<std::uint8_t>(out);
}

std::uint8_t sum_of(std::string_view bytes) {
  unsigned out = 0;
  for (const char c : bytes) out += static_cast<unsigned char>(c);
  return static_cast<std::uint8_t>(out);
}

std::string check_value(FrameCheck check, bool hex, std::string_view bytes) {
  std::string raw;
  switch (check) {
    case FrameCheck::none:
      return raw;
    case FrameCheck::bcc:
      raw = {static_cast<char>(xor_of(bytes))};
      break;
    case FrameCheck::lrc:
      raw = {static_cast<char>(-sum_of(bytes))};
      break;
    case FrameCheck::sum:
      raw = {static_cast<char>(sum_of(bytes))};
      break;
    case FrameCheck::crc16: {
      const auto crc = crc16(bytes);
      raw = {static_cast<char>(crc & 0xFF), static_cast<char>(crc >> 8U)};
      break;
    }
  }
  if (!hex) return raw;
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

std::size_t check_size(FrameCheck check, bool hex) {
  const std::size_t bytes = check == FrameCheck::none ? 0 : check == FrameCheck::crc16 ? 2 : 1;
  return hex ? bytes * 2 : bytes;
}

bool check_matches(FrameCheck check, bool hex, std::string_view bytes, std::string_view found) {
  const auto wanted = check_value(check, hex, bytes);
  return std::equal(wanted.begin(), wanted.end(), found.begin(), found.end(), [hex](char a, char b) {
    return a == b || (hex && b >= 'a' && b <= 'f' && a == static_cast<char>(b - 'a' + 'A'));
  });
}

}  // namespace trunkline::tcp
