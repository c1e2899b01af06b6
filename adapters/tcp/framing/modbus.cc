// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/modbus.h"

#include <algorithm>
#include <array>

#include "adapters/tcp/framing/checks.h"

namespace trunkline::tcp {

namespace {

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// Modbus application protocol V1.1b3 section 4.1: 1 to 127, with the high bit for an exception.
bool is_function(unsigned code) {
  return (code & 0x7FU) != 0;
}

// V1.1b3 section 4.1: codes that makers may use as they like, and 43, whose length only its content tells.
bool is_own_function(unsigned code) {
  return code == 43 || (code >= 65 && code <= 72) || (code >= 100 && code <= 110);
}

constexpr std::size_t kRtuMost = 256;

// How long an RTU frame is; `header` bytes are needed to tell, 0 bytes means that nobody knows.
struct Length {
  std::size_t header = 0;
  std::size_t bytes = 0;
};

// V1.1b3 section 6, function by function: address + function + … + CRC.
Length response_length(std::string_view bytes) {
  const auto code = byte_at(bytes, 1);
  const auto counted = [&](std::size_t at) {
    return bytes.size() > at ? Length{at + 1, at + 1 + byte_at(bytes, at) + 2} : Length{at + 1, 0};
  };
  if (code >= 0x80U) return {2, 5};
  switch (code) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 12:
    case 17:
    case 20:
    case 21:
    case 23:
      return counted(2);
    case 5:
    case 6:
    case 8:
    case 11:
    case 15:
    case 16:
      return {2, 8};
    case 7:
      return {2, 5};
    case 22:
      return {2, 10};
    case 24:  // a two-byte count
      return bytes.size() > 3 ? Length{4, 4 + byte_at(bytes, 2) * 256 + byte_at(bytes, 3) + 2} : Length{4, 0};
    default:
      return {};
  }
}

Length request_length(std::string_view bytes) {
  const auto code = byte_at(bytes, 1);
  const auto counted = [&](std::size_t at) {
    return bytes.size() > at ? Length{at + 1, at + 1 + byte_at(bytes, at) + 2} : Length{at + 1, 0};
  };
  switch (code) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 8:
      return {2, 8};
    case 7:
    case 11:
    case 12:
    case 17:
      return {2, 4};
    case 15:
    case 16:
      return counted(6);
    case 20:
    case 21:
      return counted(2);
    case 22:
      return {2, 10};
    case 23:
      return counted(10);
    case 24:
      return {2, 6};
    default:
      return {};
  }
}

// A frame of unknown length: the first length at which the CRC comes out.
Look find_by_crc(std::string_view bytes) {
  auto crc = crc16(bytes.substr(0, 3));
  for (std::size_t size = 4; size <= std::min(bytes.size(), kRtuMost); ++size) {
    crc = crc16(bytes.substr(size - 1, 1), crc);
    if (crc == 0) return Look::frame(size, bytes.substr(0, size));
  }
  return bytes.size() < kRtuMost ? Look::more() : Look::bad(1, FrameFault::noise);
}

// Where, behind the front, the frame of a known function begins that is right and ends first, and before `end`; or 0.
std::size_t find_inner(std::string_view bytes, std::size_t end, ModbusSide side) {
  std::size_t inner = 0;
  for (std::size_t at = 1; at + 4 < end; ++at) {
    const auto rest = bytes.substr(at, end - 1 - at);
    if (!is_function(byte_at(rest, 1)) || byte_at(rest, 0) > 247) continue;
    for (const bool response : {true, false}) {
      if (side == (response ? ModbusSide::requests : ModbusSide::responses)) continue;
      const auto size = response ? response_length(rest).bytes : request_length(rest).bytes;
      if (size < 4 || at + size >= end || crc16(rest.substr(0, size)) != 0) continue;
      inner = at;
      end = at + size;
    }
  }
  return inner;
}

}  // namespace

Look ModbusTcpScanner::look(std::string_view bytes) {
  constexpr std::size_t kHeader = 6;
  const auto wrong = [&](std::size_t at, auto fits) { return bytes.size() > at && !fits(byte_at(bytes, at)); };
  const auto zero = [](unsigned value) { return value == 0; };
  // Each byte of the header is judged as it comes, so that noise in front is left as soon as it shows.
  if (wrong(2, zero) || wrong(3, zero) || wrong(4, [](unsigned value) { return value <= 1; })) {
    return Look::bad(1, FrameFault::noise);
  }
  if (bytes.size() < kHeader) return Look::more();
  const auto length = byte_at(bytes, 4) * 256 + byte_at(bytes, 5);
  // The unit and a function code at least; a PDU has at most 253 bytes (V1.1b3 section 4.1).
  if (length < 2 || length > 254 || wrong(7, is_function)) return Look::bad(1, FrameFault::noise);
  const auto size = kHeader + length;
  if (bytes.size() < size) return Look::more();
  return Look::frame(size, bytes.substr(0, size));
}

Look ModbusRtuScanner::look(std::string_view bytes) {
  auto look = front(bytes);
  // Noise that reads like the beginning of a long frame must not hold up what follows. Within a good stream a frame may
  // hold what looks like another.
  if (lost_ && look.fault != FrameFault::noise) {
    const auto end = look.kind == Look::Kind::more ? std::min(bytes.size(), kRtuMost) + 1 : look.length;
    if (const auto inner = find_inner(bytes, end, side_); inner > 0) return Look::skip(inner, FrameFault::noise);
  }
  if (look.kind == Look::Kind::frame) lost_ = false;
  if (look.kind == Look::Kind::bad) lost_ = true;
  return look;
}

Look ModbusRtuScanner::front(std::string_view bytes) const {
  // 0 is for everyone, and nobody answers it.
  const auto least = side_ == ModbusSide::responses ? 1U : 0U;
  if (byte_at(bytes, 0) < least || byte_at(bytes, 0) > 247) return Look::bad(1, FrameFault::noise);
  if (bytes.size() < 2) return Look::more();
  if (!is_function(byte_at(bytes, 1))) return Look::bad(1, FrameFault::noise);
  std::array<Length, 2> lengths;
  std::size_t count = 0;
  if (side_ != ModbusSide::requests) lengths[count++] = response_length(bytes);
  if (side_ != ModbusSide::responses && byte_at(bytes, 1) < 0x80) lengths[count++] = request_length(bytes);
  std::size_t longest = 0;
  bool waits = false;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& [header, size] = lengths[i];
    if (header == 0) {
      if (!is_own_function(byte_at(bytes, 1))) continue;
      if (bytes.size() < 4) return Look::more();
      return find_by_crc(bytes);
    }
    if (size == 0 || (size <= kRtuMost && bytes.size() < size)) {
      waits = true;
    } else if (size <= kRtuMost) {
      if (crc16(bytes.substr(0, size)) == 0) return Look::frame(size, bytes.substr(0, size));
      longest = std::max(longest, size);
    }
  }
  if (waits) return Look::more();
  return longest == 0 ? Look::bad(1, FrameFault::noise) : Look::unchecked(longest, bytes.substr(0, longest));
}

Look ModbusAsciiScanner::look(std::string_view bytes) {
  const auto begin = std::min(bytes.find(':'), bytes.size());
  if (begin > 0) return Look::skip(begin, FrameFault::noise);
  constexpr std::size_t kMost = 1 + 2 * 255 + 2;
  unsigned sum = 0;
  std::size_t at = 1;
  while (at < bytes.size() && at < kMost && hex_digit(bytes[at])) ++at;
  if (at == bytes.size()) return Look::more();
  const auto digits = bytes.substr(1, at - 1);
  if (bytes[at] == '\r' && at + 1 == bytes.size()) return Look::more();
  const auto length = bytes[at] == '\r' ? at + 2 : at + 1;
  if (at == kMost) return Look::skip(at, FrameFault::overlong);
  if (bytes[length - 1] != '\n' || digits.size() < 6 || digits.size() % 2 != 0) {
    return Look::skip(at, FrameFault::malformed);
  }
  for (std::size_t i = 0; i < digits.size(); i += 2) sum += *hex_byte(digits.substr(i, 2));
  const auto line = bytes.substr(0, at);
  return (sum & 0xFFU) == 0 ? Look::frame(length, line) : Look::unchecked(length, line);
}

}  // namespace trunkline::tcp
