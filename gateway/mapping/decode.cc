// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/decode.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "gateway/base/encoding.h"
#include "gateway/mapping/shaper.h"

namespace trunkline {

namespace {

using Type = DecodeField::Type;

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\0'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Twelve digits, so that 0.1 * 3 is no news; whole numbers stay whole.
json::value scaled(double value, const DecodeField& field) {
  value = value * field.factor + field.offset;
  if (!std::isfinite(value)) return nullptr;
  char text[40];
  const auto end = std::to_chars(std::begin(text), std::end(text), value, std::chars_format::general, 12).ptr;
  std::from_chars(text, end, value);
  if (value == std::floor(value) && std::abs(value) < 9e15) return static_cast<std::int64_t>(value);
  return value;
}

json::value named(json::value value, const DecodeField& field) {
  if (field.names.empty()) return value;
  const auto text = value.is_string()   ? std::string(value.get_string())
                    : value.is_int64()  ? std::to_string(value.get_int64())
                    : value.is_uint64() ? std::to_string(value.get_uint64())
                                        : std::string();
  const auto found =
      std::find_if(field.names.begin(), field.names.end(), [&text](const Property& one) { return one.name == text; });
  return found == field.names.end() ? value : json::value(found->value);
}

// The bytes of one value, most significant first.
std::string in_order(const DecodeField& field, std::string_view bytes) {
  std::string out(bytes);
  if (field.words_swapped && out.size() % 2 == 0) {
    std::reverse(out.begin(), out.end());
    for (std::size_t i = 0; i + 1 < out.size(); i += 2) std::swap(out[i], out[i + 1]);
  }
  if (field.little_endian) std::reverse(out.begin(), out.end());
  return out;
}

std::uint64_t whole_of(std::string_view bytes) {
  std::uint64_t out = 0;
  for (const char c : bytes) out = out << 8U | static_cast<unsigned char>(c);
  return out;
}

std::optional<std::uint64_t> bcd_of(std::string_view bytes) {
  std::uint64_t out = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >> 4U) > 9 || (byte & 15U) > 9) return std::nullopt;
    out = out * 100 + (byte >> 4U) * 10 + (byte & 15U);
  }
  return out;
}

json::value plain(std::uint64_t value, const DecodeField& field) {
  // Without a scale all 64 bits are kept.
  if (field.factor == 1 && field.offset == 0) return value;
  return scaled(static_cast<double>(value), field);
}

std::optional<json::value> binary(const Decode& rule, const DecodeField& field, std::string_view message) {
  if (message.size() < field.at + field.size) return std::nullopt;
  const auto raw = message.substr(field.at, field.size);
  if (field.type == Type::text) return json::value(to_utf8(rule.charset, trimmed(raw)));
  if (field.type == Type::hex) return json::value(hex_encode(raw));
  const auto bytes = in_order(field, raw);
  auto value = whole_of(bytes);
  const auto width = 8 * field.size;
  switch (field.type) {
    case Type::bcd: {
      const auto decimal = bcd_of(bytes);
      return decimal ? std::optional(plain(*decimal, field)) : std::nullopt;
    }
    case Type::float_: {
      const double number = field.size == 4
                                ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value)))
                                : std::bit_cast<double>(value);
      return scaled(number, field);
    }
    case Type::signed_: {
      const auto shift = 64 - width;
      const auto number = static_cast<std::int64_t>(value << shift) >> shift;
      if (field.factor == 1 && field.offset == 0) return json::value(number);
      return scaled(static_cast<double>(number), field);
    }
    case Type::magnitude: {
      const auto sign = std::uint64_t{1} << (width - 1);
      const auto number = static_cast<double>(value & (sign - 1));
      return scaled((value & sign) != 0 ? -number : number, field);
    }
    default:
      break;
  }
  if (field.bits > 0) value = (value >> field.bit) & (field.bits >= 64 ? ~0ULL : (1ULL << field.bits) - 1);
  return plain(value, field);
}

std::optional<json::value> textual(const Decode& rule, const DecodeField& field, std::string_view text) {
  if (!field.number) return json::value(to_utf8(rule.charset, text));
  std::string digits(text);
  if (rule.decimal_comma) {
    std::erase(digits, '.');
    std::replace(digits.begin(), digits.end(), ',', '.');
  }
  // "- 12.5": many scales set the sign apart.
  if (digits.size() > 2 && digits[0] == '-') {
    const auto first = digits.find_first_not_of(' ', 1);
    if (first != std::string::npos) digits.erase(1, first - 1);
  }
  const auto number = leading_number(digits);
  return number ? std::optional(scaled(*number, field)) : std::nullopt;
}

// RFC 4180, without line breaks in quotes: a message is one record.
std::vector<std::string> split_csv(std::string_view text, char separator) {
  constexpr std::size_t kMostColumns = 1000;
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        out.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        out.back() += text[i++];
      } else {
        quoted = false;
      }
    } else if (c == '"' && out.back().empty()) {
      quoted = true;
    } else if (c == separator) {
      if (out.size() == kMostColumns) break;
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

void put(json::object& out, const DecodeField& field, std::optional<json::value> value) {
  if (value) out[field.name] = named(std::move(*value), field);
}

}  // namespace

Result<json::value> decode(const Decode& rule, std::string_view message) {
  json::object out;
  switch (rule.kind) {
    case Decode::Kind::bytes:
      for (const auto& field : rule.fields) put(out, field, binary(rule, field, message));
      break;
    case Decode::Kind::columns:
      for (const auto& field : rule.fields) {
        if (message.size() <= field.at) continue;
        put(out, field, textual(rule, field, trimmed(message.substr(field.at, field.size))));
      }
      break;
    case Decode::Kind::csv: {
      const auto columns = split_csv(message, rule.separator);
      for (const auto& field : rule.fields) {
        if (field.column > columns.size()) continue;
        const auto text = trimmed(columns[field.column - 1]);
        if (!text.empty()) put(out, field, textual(rule, field, text));
      }
      break;
    }
    case Decode::Kind::match: {
      const auto found = rule.pattern->find_all(message);
      if (!found) return fail(ErrorCode::invalid, "the message does not match map.decode.pattern");
      for (const auto& [name, text] : *found) {
        const auto field = std::find_if(rule.fields.begin(), rule.fields.end(),
                                        [&wanted = name](const DecodeField& one) { return one.name == wanted; });
        const DecodeField fallback{.name = name};
        const auto& how = field == rule.fields.end() ? fallback : *field;
        put(out, how, textual(rule, how, trimmed(text)));
      }
      break;
    }
  }
  if (out.empty()) return fail(ErrorCode::invalid, "the message holds none of the values of map.decode");
  return json::value(std::move(out));
}

}  // namespace trunkline
