// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "gateway/base/result.h"

namespace trunkline {

// A device's id at the hub, exactly as registered: 1 to 128 characters of ASCII letters, digits and - . + % _ # * ? ! (
// ) , = @ $ ' : ; and case-sensitive (hub-amqp-protocol.md 4.1). Built only by parse, so holding one means that it is
// valid. Distinct from the strings of any protocol.
class DeviceId {
 public:
  static constexpr std::size_t kMaxLength = 128;

  static Result<DeviceId> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  friend auto operator<=>(const DeviceId&, const DeviceId&) = default;

 private:
  explicit DeviceId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace trunkline

template <>
struct std::hash<trunkline::DeviceId> {
  std::size_t operator()(const trunkline::DeviceId& id) const noexcept { return std::hash<std::string>{}(id.text()); }
};
