// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/json.h"
#include "gateway/base/result.h"
#include "gateway/core/message.h"
#include "gateway/mapping/pattern.h"

namespace trunkline {

// One value in a message that is not JSON. Which members count depends on Decode::kind.
struct DecodeField {
  enum class Type : std::uint8_t {
    text,
    hex,        // as hexadecimal digits
    unsigned_,  // whole numbers of `size` bytes, 1 to 8
    signed_,    // two's complement
    magnitude,  // the highest bit is the sign
    float_,     // IEEE 754, 4 or 8 bytes
    bcd,        // two decimal digits in each byte
  };
  std::string name;
  Type type = Type::text;
  std::size_t at = 0;    // bytes, columns: where it begins
  std::size_t size = 0;  // bytes, columns
  bool little_endian = false;
  bool words_swapped = false;  // 16-bit words in the order opposite to that of the bytes in them
  unsigned bit = 0;            // bits: which of an unsigned number, 0 is the lowest
  unsigned bits = 0;           // 0: all of it
  std::size_t column = 0;      // csv, from 1
  bool number = false;         // columns, csv, match: the number that the text is or begins with
  double factor = 1;           // of a number: value * factor + offset
  double offset = 0;
  std::vector<Property> names{};  // of values: "0" is "stable"; what is not named stays as it is
};

// How bytes become an object. Made by config; immutable.
struct Decode {
  enum class Kind : std::uint8_t {
    bytes,    // values at fixed places, as numbers in binary
    columns,  // texts at fixed places
    csv,      // texts between separators, in double quotes or not
    match,    // what a pattern captures by name; the fields say which of them are numbers
  };
  enum class Charset : std::uint8_t { utf8, latin1, cp437, cp1252 };
  Kind kind = Kind::bytes;
  Charset charset = Charset::utf8;
  char separator = ',';
  bool decimal_comma = false;
  std::optional<Pattern> pattern{};
  std::vector<DecodeField> fields{};
};

// A value that the message is too short for is left out; invalid if nothing can be read, or a pattern does not match.
// Never quotes the message (S-01). Pure.
Result<json::value> decode(const Decode& rule, std::string_view message);

// Text of that code page as UTF-8; what is no character becomes U+FFFD.
std::string to_utf8(Decode::Charset charset, std::string_view text);

}  // namespace trunkline
