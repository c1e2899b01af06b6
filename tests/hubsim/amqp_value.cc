// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/amqp_value.h"

#include "gateway/base/encoding.h"

namespace trunkline::hubsim::wire {
namespace {

constexpr int kMaxDepth = 8;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

// How long the value at the front is; 0 if it is cut short or unknown. AMQP 1.0 section 1.2: the high nibble of the
// constructor is the width class.
std::size_t length_of(std::string_view bytes, int depth) {
  if (bytes.empty() || depth > kMaxDepth) return 0;
  const auto code = static_cast<unsigned char>(bytes[0]);
  if (code == 0x00) {
    const auto descriptor = length_of(bytes.substr(1), depth + 1);
    if (descriptor == 0) return 0;
    const auto value = length_of(bytes.substr(1 + descriptor), depth + 1);
    return value == 0 ? 0 : 1 + descriptor + value;
  }
  std::size_t length = 0;
  switch (code >> 4) {
    case 0x4:
      length = 1;
      break;
    case 0x5:
      length = 2;
      break;
    case 0x6:
      length = 3;
      break;
    case 0x7:
      length = 5;
      break;
    case 0x8:
      length = 9;
      break;
    case 0x9:
      length = 17;
      break;
    case 0xA:
    case 0xC:
    case 0xE:
      if (bytes.size() < 2) return 0;
      length = 2 + static_cast<unsigned char>(bytes[1]);
      break;
    case 0xB:
    case 0xD:
    case 0xF:
      if (bytes.size() < 5) return 0;
      length = 5 + big_endian(bytes.substr(1, 4));
      break;
    default:
      return 0;
  }
  return length <= bytes.size() ? length : 0;
}

unsigned char code_of(std::string_view raw) {
  return raw.empty() ? 0 : static_cast<unsigned char>(raw[0]);
}

std::string_view variable(std::string_view raw, bool wide) {
  return raw.substr(wide ? 5 : 2);
}

void put_big_endian(std::string& out, std::uint64_t value, int width) {
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xFF));
}

void put_variable(std::string& out, char narrow, char wide, std::string_view bytes) {
  if (bytes.size() < 256) {
    out.push_back(narrow);
    out.push_back(static_cast<char>(bytes.size()));
  } else {
    out.push_back(wide);
    put_big_endian(out, bytes.size(), 4);
  }
  out.append(bytes);
}

void put_compound(std::string& out, char code, std::uint32_t count, std::string_view encoded) {
  out.push_back(code);
  put_big_endian(out, encoded.size() + 4, 4);
  put_big_endian(out, count, 4);
  out.append(encoded);
}

}  // namespace

std::optional<std::string_view> Reader::next() {
  const auto length = length_of(bytes_, 0);
  if (length == 0) return std::nullopt;
  const auto raw = bytes_.substr(0, length);
  bytes_.remove_prefix(length);
  return raw;
}

std::optional<Described> described(std::string_view raw) {
  if (code_of(raw) != 0x00 || raw.empty()) return std::nullopt;
  Reader reader(raw.substr(1));
  const auto descriptor = reader.next();
  const auto value = descriptor ? reader.next() : std::nullopt;
  if (!value) return std::nullopt;
  const auto code = as_unsigned(*descriptor);
  if (!code) return std::nullopt;
  return Described{*code, *value};
}

bool is_null(std::string_view raw) {
  return code_of(raw) == 0x40;
}

std::optional<std::uint64_t> as_unsigned(std::string_view raw) {
  switch (code_of(raw)) {
    case 0x43:
    case 0x44:
      return 0;
    case 0x50:
    case 0x52:
    case 0x53:
    case 0x60:
    case 0x70:
    case 0x80:
      return big_endian(raw.substr(1));
    default:
      return std::nullopt;
  }
}

std::optional<std::int64_t> as_signed(std::string_view raw) {
  switch (code_of(raw)) {
    case 0x51:
    case 0x54:
    case 0x55:
      return static_cast<std::int8_t>(big_endian(raw.substr(1)));
    case 0x61:
      return static_cast<std::int16_t>(big_endian(raw.substr(1)));
    case 0x71:
      return static_cast<std::int32_t>(big_endian(raw.substr(1)));
    case 0x81:
      return static_cast<std::int64_t>(big_endian(raw.substr(1)));
    default:
      return std::nullopt;
  }
}

std::optional<std::int32_t> as_int(std::string_view raw) {
  if (code_of(raw) != 0x71 && code_of(raw) != 0x54) return std::nullopt;
  return static_cast<std::int32_t>(*as_signed(raw));
}

std::optional<std::int64_t> as_timestamp(std::string_view raw) {
  if (code_of(raw) != 0x83) return std::nullopt;
  return static_cast<std::int64_t>(big_endian(raw.substr(1)));
}

std::optional<std::string_view> as_text(std::string_view raw) {
  switch (code_of(raw)) {
    case 0xA1:
    case 0xA3:
      return variable(raw, false);
    case 0xB1:
    case 0xB3:
      return variable(raw, true);
    default:
      return std::nullopt;
  }
}

std::optional<std::string_view> as_binary(std::string_view raw) {
  switch (code_of(raw)) {
    case 0xA0:
      return variable(raw, false);
    case 0xB0:
      return variable(raw, true);
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<std::string_view>> elements(std::string_view raw) {
  std::size_t width = 0;
  switch (code_of(raw)) {
    case 0x45:
      return std::vector<std::string_view>{};
    case 0xC0:
    case 0xC1:
      width = 1;
      break;
    case 0xD0:
    case 0xD1:
      width = 4;
      break;
    default:
      return std::nullopt;
  }
  if (raw.size() < 1 + 2 * width) return std::nullopt;
  const auto count = big_endian(raw.substr(1 + width, width));
  Reader reader(raw.substr(1 + 2 * width));
  std::vector<std::string_view> found;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto element = reader.next();
    if (!element) return std::nullopt;
    found.push_back(*element);
  }
  if (!reader.empty()) return std::nullopt;
  return found;
}

std::string to_text(std::string_view raw) {
  if (const auto text = as_text(raw)) return std::string(*text);
  if (const auto number = as_unsigned(raw)) return std::to_string(*number);
  if (const auto number = as_signed(raw)) return std::to_string(*number);
  if (const auto time = as_timestamp(raw)) return std::to_string(*time);
  if (const auto bytes = as_binary(raw)) return hex_encode(*bytes);
  switch (code_of(raw)) {
    case 0x41:
      return "true";
    case 0x42:
      return "false";
    case 0x56:
      return raw[1] != 0 ? "true" : "false";
    case 0x98: {
      auto text = hex_encode(raw.substr(1));
      for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, 1, '-');
      return text;
    }
    default:
      return {};
  }
}

void put_null(std::string& out) {
  out.push_back('\x40');
}
void put_ubyte(std::string& out, std::uint8_t value) {
  out.push_back('\x50');
  put_big_endian(out, value, 1);
}
void put_uint(std::string& out, std::uint32_t value) {
  out.push_back('\x70');
  put_big_endian(out, value, 4);
}
void put_ulong(std::string& out, std::uint64_t value) {
  out.push_back('\x80');
  put_big_endian(out, value, 8);
}
void put_int(std::string& out, std::int32_t value) {
  out.push_back('\x71');
  put_big_endian(out, static_cast<std::uint32_t>(value), 4);
}
void put_long(std::string& out, std::int64_t value) {
  out.push_back('\x81');
  put_big_endian(out, static_cast<std::uint64_t>(value), 8);
}
void put_uuid(std::string& out, std::string_view bytes) {
  out.push_back('\x98');
  out.append(bytes);
}
void put_timestamp(std::string& out, std::int64_t milliseconds) {
  out.push_back('\x83');
  put_big_endian(out, static_cast<std::uint64_t>(milliseconds), 8);
}
void put_string(std::string& out, std::string_view text) {
  put_variable(out, '\xA1', '\xB1', text);
}
void put_symbol(std::string& out, std::string_view text) {
  put_variable(out, '\xA3', '\xB3', text);
}
void put_binary(std::string& out, std::string_view bytes) {
  put_variable(out, '\xA0', '\xB0', bytes);
}
void put_descriptor(std::string& out, std::uint8_t code) {
  out.push_back('\x00');
  out.push_back('\x53');
  out.push_back(static_cast<char>(code));
}
void put_list(std::string& out, std::uint32_t count, std::string_view encoded_elements) {
  put_compound(out, '\xD0', count, encoded_elements);
}
void put_map(std::string& out, std::uint32_t count, std::string_view encoded_elements) {
  put_compound(out, '\xD1', count, encoded_elements);
}
void put_symbol_array(std::string& out, const std::vector<std::string_view>& symbols) {
  std::string encoded(1, '\xB3');
  for (const auto symbol : symbols) {
    put_big_endian(encoded, symbol.size(), 4);
    encoded.append(symbol);
  }
  put_compound(out, '\xF0', static_cast<std::uint32_t>(symbols.size()), encoded);
}

}  // namespace trunkline::hubsim::wire
