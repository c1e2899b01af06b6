// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "gateway/base/clock.h"

namespace trunkline {

enum class FramingKind : std::uint8_t {
  line,
  end,
  marks,
  fixed,
  length,
  nmea,
  modbus_tcp,
  modbus_rtu,
  modbus_ascii,
  mbus,
  idle,
  json,
  slip,
  cobs,
  octets,
};

// A check value over a frame, at its end.
enum class FrameCheck : std::uint8_t {
  none,
  bcc,    // XOR of all bytes
  lrc,    // two's complement of their sum
  sum,    // their sum
  crc16,  // CRC-16/MODBUS, low byte first
};

// What becomes of a frame whose check is wrong; it is counted in each case.
enum class CheckPolicy : std::uint8_t {
  drop,
  flag,  // goes up with the property framing-check=failed
  pass,
};

// Which side of a Modbus RTU line the socket shows.
enum class ModbusSide : std::uint8_t { responses, requests, both };

// How a device's byte stream is cut into messages. One value for all kinds; each member says which kinds read it. Made
// by config, which refuses a combination that makes no sense; an immutable value from then on.
struct Framing {
  std::string end = "\n";              // line, end, marks: 1 to 16 bytes; empty for a line: CR, LF or CRLF
  std::size_t max_length = 64 * 1024;  // bytes of one message; a longer one is dropped and counted
  FramingKind kind = FramingKind::line;
  Milliseconds timeout{0};              // silence that ends an unfinished frame; 0: none
  bool keep = false;                    // line, end, marks, length, octets: marks and header stay in the message
  std::string start{};                  // marks: 1 to 16 bytes
  bool stuffed = false;                 // marks: DLE before each mark, DLE doubled in between
  FrameCheck check = FrameCheck::none;  // marks, fixed, length
  bool check_hex = false;               // marks: the check is two (four) hexadecimal digits
  bool check_inside = false;            // marks: it stands before the end mark, else after it
  bool check_start = false;             // marks: it covers the start mark
  CheckPolicy policy = CheckPolicy::drop;
  std::string magic{};         // fixed, length: what a frame begins with; octets: what a message begins with
  std::size_t size = 0;        // fixed: bytes of a frame
  std::size_t offset = 0;      // length: where the field stands
  std::size_t width = 2;       // length: its bytes, 1 to 4
  bool little_endian = false;  // length
  std::int64_t adjust = 0;     // length: frame bytes = offset + width + field + adjust
  bool require_check = false;  // nmea: a sentence without *hh is wrong
  ModbusSide side = ModbusSide::responses;  // modbus_rtu

  friend bool operator==(const Framing&, const Framing&) = default;
};

}  // namespace trunkline
