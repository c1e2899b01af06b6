// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "gateway/mapping/decode.h"
#include "gateway/mapping/frame_field.h"
#include "gateway/mapping/json_text.h"

namespace trunkline::test {

// A rule within what config lets through, of eight bytes.
inline Decode decode_rule(std::string_view choice) {
  using Type = DecodeField::Type;
  const auto byte = [&choice](std::size_t i) { return static_cast<unsigned char>(choice[i]); };
  static const auto pattern = *Pattern::parse(R"(^(?<a>\w*)[,; ]*(?<b>[-\d.,]*))");
  Decode rule{.kind = static_cast<Decode::Kind>(byte(0) % 4),
              .charset = static_cast<Decode::Charset>((byte(0) >> 2U) % 4),
              .separator = (byte(0) & 16U) != 0 ? ';' : ',',
              .decimal_comma = (byte(0) & 32U) != 0,
              .pattern = pattern};
  for (const auto* name : {"a", "b"}) {
    DecodeField field{.name = name, .type = static_cast<Type>(byte(1) % 7), .at = byte(2)};
    field.size = 1 + byte(3) % 8;
    if (field.type == Type::float_) field.size = (byte(3) & 1U) != 0 ? 4 : 8;
    if (field.type == Type::text || field.type == Type::hex) field.size = 1 + byte(3) * std::size_t{4};
    field.little_endian = (byte(4) & 1U) != 0;
    field.words_swapped = (byte(4) & 2U) != 0 && (field.size == 4 || field.size == 8);
    field.number = (byte(4) & 4U) != 0;
    if ((byte(4) & 8U) != 0) field.factor = static_cast<double>(byte(5)) * 1e13 - 1e15;
    if ((byte(4) & 16U) != 0) field.offset = 0.1 * byte(6);
    if ((byte(4) & 32U) != 0) field.names = {{"0", "none"}, {"1", "one"}};
    if (field.type == Type::unsigned_ && (byte(4) & 64U) != 0) {
      field.bit = byte(5) % static_cast<unsigned>(8 * field.size);
      field.bits = 1 + byte(6) % (static_cast<unsigned>(8 * field.size) - field.bit);
    }
    field.column = 1 + byte(7) % std::size_t{20};
    rule.fields.push_back(std::move(field));
  }
  rule.fields.back().at += rule.fields.back().size;
  ++rule.fields.back().column;
  return rule;
}

// One input of the fuzzer: a rule, then a message. Is what goes up JSON with the named members only, the same each
// time? And does a field of the message lie within it?
inline bool decode_survives(std::string_view input) {
  if (input.size() < 8) return true;
  const auto rule = decode_rule(input);
  const auto message = input.substr(8);
  const auto value = decode(rule, message);
  if (value) {
    const auto text = json_text(*value);
    const auto again = decode(rule, message);
    if (!read_json(text) || !again || json_text(*again) != text) return false;
    for (const auto& member : value->as_object()) {
      if (member.key() != "a" && member.key() != "b") return false;
    }
  }
  const FrameField at{.offset = rule.fields.front().at, .size = rule.fields.front().size};
  const auto part = read_field(at, message);
  if (part && (part->size() != at.size || message.substr(at.offset, at.size) != *part)) return false;
  return part.has_value() == (at.offset + at.size <= message.size());
}

// A pattern, a line end, a text: does it find only what is there, by name or not?
inline bool pattern_survives(std::string_view input) {
  const auto line = input.find('\n');
  const auto text = line == std::string_view::npos ? std::string_view() : input.substr(line + 1);
  const auto pattern = Pattern::parse(input.substr(0, line));
  if (!pattern) return true;
  const auto found = pattern->find(text);
  const auto groups = pattern->find_all(text);
  if (found.has_value() != groups.has_value()) return false;
  if (!found) return true;
  const auto within = [&text](const std::string& part) { return text.find(part) != std::string_view::npos; };
  return within(*found) && std::all_of(groups->begin(), groups->end(), [&](const Property& group) {
           const auto& names = pattern->names();
           return within(group.value) && std::find(names.begin(), names.end(), group.name) != names.end();
         });
}

}  // namespace trunkline::test
