// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/frame_field.h"

#include "gateway/base/encoding.h"
#include "gateway/mapping/json_text.h"

namespace trunkline {

namespace {

std::optional<std::string> at_pointer(const std::string& pointer, std::string_view message) {
  const auto whole = read_json(message);
  if (!whole) return std::nullopt;
  boost::system::error_code failed;
  const auto* value = whole->find_pointer(pointer, failed);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  if (value->is_int64() || value->is_uint64()) return json_text(*value);
  return std::nullopt;
}

std::optional<std::string> part_of(const FrameField& field, std::string_view message) {
  switch (field.from) {
    case FrameField::From::bytes:
      if (message.size() < field.offset + field.size) return std::nullopt;
      return std::string(message.substr(field.offset, field.size));
    case FrameField::From::match:
      return field.pattern->find(message);
    case FrameField::From::pointer:
      return at_pointer(field.pointer, message);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> read_field(const FrameField& field, std::string_view message) {
  auto out = part_of(field, message);
  if (out && field.hex) out = hex_encode(*out);
  return out;
}

}  // namespace trunkline
