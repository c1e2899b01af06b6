// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/twin_rules.h"

#include <algorithm>
#include <string>

#include "gateway/mapping/json_text.h"

namespace trunkline {
namespace {

constexpr std::size_t kMaxName = 1024;
constexpr std::size_t kMaxText = 4096;
constexpr unsigned kMaxDepth = 10;
constexpr std::int64_t kMaxInteger = 4'503'599'627'370'495;

// Names come from outside: a reason shows only the beginning of one.
std::string shown(std::string_view name) {
  return "\"" + std::string(name.substr(0, 40)) + "\"";
}

Result<void> check_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::invalid, "a property without a name");
  if (name.size() > kMaxName) return fail(ErrorCode::invalid, "the name " + shown(name) + "… is longer than 1 KiB");
  const bool refused = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '.' || c == '$';
  });
  if (refused) {
    return fail(ErrorCode::invalid, "the name " + shown(name) + " has a blank, \".\", \"$\" or a control character");
  }
  return {};
}

Result<void> check(const json::value& value, std::string_view name, unsigned depth) {
  if (depth > kMaxDepth) return fail(ErrorCode::invalid, shown(name) + " is deeper than 10 levels");
  if (const auto* text = value.if_string(); text != nullptr && text->size() > kMaxText) {
    return fail(ErrorCode::invalid, "the text of " + shown(name) + " is longer than 4 KiB");
  }
  const bool large = (value.is_int64() && (value.get_int64() > kMaxInteger || value.get_int64() < -kMaxInteger - 1)) ||
                     value.is_uint64();
  if (large) return fail(ErrorCode::invalid, "the number " + shown(name) + " is beyond what the hub keeps");
  if (const auto* array = value.if_array()) {
    for (const auto& item : *array) {
      if (auto good = check(item, name, depth + 1); !good) return good;
    }
  }
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) {
      const std::string_view key(member.key().data(), member.key().size());
      if (auto good = check_name(key); !good) return good;
      if (auto good = check(member.value(), key, depth + 1); !good) return good;
    }
  }
  return {};
}

}  // namespace

Result<json::object> read_properties(std::string_view text) {
  if (text.size() > 2 * kMaxTwinBytes) return fail(ErrorCode::invalid, "larger than any twin");
  auto value = read_json(text);
  if (!value) return fail(value.error());
  auto* object = value->if_object();
  if (object == nullptr) return fail(ErrorCode::invalid, "the properties are no JSON object");
  if (auto good = check(*value, "", 0); !good) return fail(good.error());
  if (twin_bytes(*value) > kMaxTwinBytes) return fail(ErrorCode::invalid, "larger than the 32 KiB of a twin");
  return std::move(*object);
}

std::size_t twin_bytes(const json::value& value) {
  std::size_t out = 0;
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) out += member.key().size() + twin_bytes(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& item : *array) out += twin_bytes(item);
  } else if (const auto* text = value.if_string()) {
    out = text->size();
  } else if (value.is_number()) {
    out = 8;
  } else if (value.is_bool()) {
    out = 4;
  }
  return out;
}

}  // namespace trunkline
