// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <memory>

#include "config/device_file.h"
#include "config/suggest.h"
#include "gateway/mapping/decode.h"

namespace trunkline::config {
namespace {

using Type = DecodeField::Type;

struct NamedType {
  std::string_view name;
  Type type;
  std::size_t size;  // 0: said by the field
};

constexpr std::array kTypes{
    NamedType{"u8", Type::unsigned_, 1},   NamedType{"u16", Type::unsigned_, 2}, NamedType{"u24", Type::unsigned_, 3},
    NamedType{"u32", Type::unsigned_, 4},  NamedType{"u64", Type::unsigned_, 8}, NamedType{"i8", Type::signed_, 1},
    NamedType{"i16", Type::signed_, 2},    NamedType{"i24", Type::signed_, 3},   NamedType{"i32", Type::signed_, 4},
    NamedType{"i64", Type::signed_, 8},    NamedType{"sm8", Type::magnitude, 1}, NamedType{"sm16", Type::magnitude, 2},
    NamedType{"sm32", Type::magnitude, 4}, NamedType{"f32", Type::float_, 4},    NamedType{"f64", Type::float_, 8},
    NamedType{"bcd", Type::bcd, 0},        NamedType{"text", Type::text, 0},     NamedType{"hex", Type::hex, 0}};

constexpr double kLargest = 1e15;

void read_type(TableReader& reader, DecodeField& field) {
  if (reader.require("type") == nullptr) return;
  const auto type = reader.text("type");
  if (!type) return;
  std::vector<std::string_view> names;
  for (const auto& one : kTypes) {
    names.push_back(one.name);
    if (one.name != type->value) continue;
    field.type = one.type;
    field.size = one.size;
    if (one.size == 0 && reader.require("size") != nullptr) {
      const auto most = field.type == Type::bcd ? 8 : 1024;
      field.size = static_cast<std::size_t>(reader.integer("size", 1, most).value_or(1));
    }
    return;
  }
  std::string message = reader.name_of("type") + " is " + in_quotes(type->value) + "; write one of";
  for (const auto name : names) message += (name == names.front() ? " " : ", ") + in_quotes(name);
  reader.findings().problem(type->mark, std::move(message));
}

void read_binary(TableReader& reader, bool little_endian, DecodeField& field) {
  if (reader.require("at") != nullptr) field.at = static_cast<std::size_t>(reader.integer("at", 0, 65'535).value_or(0));
  read_type(reader, field);
  field.little_endian = little_endian;
  if (const auto endian = reader.choice("endian", {"big", "little"})) field.little_endian = endian->value == "little";
  if (const auto words = reader.choice("words", {"straight", "swapped"})) {
    field.words_swapped = words->value == "swapped";
    if (field.words_swapped && field.size != 4 && field.size != 8) {
      reader.findings().problem(words->mark, reader.name_of("words") + " is for values of 4 or 8 bytes");
    }
  }
  if (field.type != Type::unsigned_) return;
  const auto width = static_cast<std::int64_t>(8 * field.size);
  if (const auto bit = reader.integer("bit", 0, std::max<std::int64_t>(width, 1) - 1)) {
    field.bit = static_cast<unsigned>(*bit);
    field.bits = 1;
    if (const auto bits = reader.integer("bits", 1, width - *bit)) field.bits = static_cast<unsigned>(*bits);
  }
}

void read_names(TableReader& reader, DecodeField& field) {
  const auto* entry = reader.table("names");
  if (entry == nullptr) return;
  for (const auto& one : entry->value.table()->entries) {
    if (const auto* text = one.value.text()) {
      field.names.push_back({one.name, *text});
    } else {
      reader.findings().problem(one.value.mark, reader.name_of("names") + "." + one.name + " is " +
                                                    std::string(one.value.type_name()) + "; write a text");
    }
  }
}

void read_decode_field(const Entry& entry, bool little_endian, Findings& findings, Decode& decode) {
  const auto path = "map.decode.fields." + entry.name;
  DecodeField field;
  field.name = entry.name;
  if (entry.value.table() == nullptr) {
    findings.problem(entry.value.mark, path + " is " + std::string(entry.value.type_name()) + "; write a table");
    return;
  }
  TableReader reader(*entry.value.table(), entry.value.mark, path, findings);
  switch (decode.kind) {
    case Decode::Kind::bytes:
      read_binary(reader, little_endian, field);
      break;
    case Decode::Kind::columns:
      if (reader.require("at") != nullptr) {
        field.at = static_cast<std::size_t>(reader.integer("at", 0, 65'535).value_or(0));
      }
      if (reader.require("size") != nullptr) {
        field.size = static_cast<std::size_t>(reader.integer("size", 1, 65'535).value_or(1));
      }
      break;
    case Decode::Kind::csv:
      if (reader.require("column") != nullptr) {
        field.column = static_cast<std::size_t>(reader.integer("column", 1, 1000).value_or(1));
      }
      break;
    case Decode::Kind::match: {
      const auto names = decode.pattern ? decode.pattern->names() : std::vector<std::string>();
      if (decode.pattern && std::find(names.begin(), names.end(), field.name) == names.end()) {
        findings.problem(entry.mark,
                         path + " is none of the names in map.decode.pattern, such as (?<" + field.name + ">\\d+)");
      }
      break;
    }
  }
  if (decode.kind != Decode::Kind::bytes) field.number = reader.flag("number").value_or(false);
  const bool numeric =
      decode.kind == Decode::Kind::bytes ? field.type != Type::text && field.type != Type::hex : field.number;
  if (numeric) {
    field.factor = reader.number("factor", -kLargest, kLargest).value_or(1);
    field.offset = reader.number("offset", -kLargest, kLargest).value_or(0);
  }
  read_names(reader, field);
  reader.finish();
  decode.fields.push_back(std::move(field));
}

}  // namespace

std::shared_ptr<const Decode> read_decode(TableReader& map) {
  const auto* entry = map.table("decode");
  if (entry == nullptr) return nullptr;
  auto& findings = map.findings();
  TableReader reader(*entry->value.table(), entry->value.mark, "map.decode", findings);
  auto decode = std::make_shared<Decode>();
  static_cast<void>(reader.require("kind"));
  const auto kind = reader.choice("kind", {"bytes", "columns", "csv", "match"});
  if (!kind) return decode;  // which options it may have is unknown
  decode->kind = kind->value == "bytes"     ? Decode::Kind::bytes
                 : kind->value == "columns" ? Decode::Kind::columns
                 : kind->value == "csv"     ? Decode::Kind::csv
                                            : Decode::Kind::match;
  bool little_endian = false;
  if (decode->kind == Decode::Kind::bytes) {
    if (const auto endian = reader.choice("endian", {"big", "little"})) little_endian = endian->value == "little";
  } else if (const auto decimal = reader.choice("decimal", {".", ","})) {
    decode->decimal_comma = decimal->value == ",";
  }
  if (const auto charset = reader.choice("charset", {"utf-8", "latin1", "cp437", "cp1252"})) {
    decode->charset = charset->value == "latin1"   ? Decode::Charset::latin1
                      : charset->value == "cp437"  ? Decode::Charset::cp437
                      : charset->value == "cp1252" ? Decode::Charset::cp1252
                                                   : Decode::Charset::utf8;
  }
  if (decode->kind == Decode::Kind::csv) {
    if (const auto separator = reader.text("separator")) {
      if (separator->value.size() != 1) {
        findings.problem(separator->mark, "map.decode.separator is one character, such as \";\" or \"\\t\"");
      } else {
        decode->separator = separator->value.front();
      }
    }
  }
  if (decode->kind == Decode::Kind::match && reader.require("pattern") != nullptr) {
    if (const auto text = reader.text("pattern")) {
      if (auto pattern = Pattern::parse(text->value); !pattern) {
        findings.problem(text->mark, "map.decode.pattern: " + pattern.error().message);
      } else if (pattern->names().empty()) {
        findings.problem(text->mark, "map.decode.pattern names nothing; write (?<weight>…) for what goes up");
      } else {
        decode->pattern = *pattern;
      }
    }
  }
  const auto* fields = decode->kind == Decode::Kind::match   ? reader.table("fields")
                       : reader.require("fields") == nullptr ? nullptr
                                                             : reader.table("fields");
  if (fields != nullptr) {
    for (const auto& field : fields->value.table()->entries) read_decode_field(field, little_endian, findings, *decode);
  }
  reader.finish();
  return decode;
}

}  // namespace trunkline::config
