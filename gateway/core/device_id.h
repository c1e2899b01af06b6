// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "gateway/base/result.h"

namespace trunkline {

// A device's id at the hub, exactly as registered: 1 to 128 characters of ASCII letters, digits and - . + % _ # * ? ! (
// ) , = @ $ ' : ; and case-sensitive (hub-amqp-protocol.md 4.1). A module of a device is "<device>/<module>": it has a
// key, links and a twin of its own, and is a device as far as the gateway goes. Built only by parse, so holding one
// means that it is valid. Distinct from the strings of any protocol.
class DeviceId {
 public:
  static constexpr std::size_t kMaxLength = 128;  // of each of the two

  static Result<DeviceId> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string_view device() const { return std::string_view(text_).substr(0, text_.find('/')); }
  // Empty unless it is a module.
  [[nodiscard]] std::string_view module() const {
    const auto slash = text_.find('/');
    return slash == std::string::npos ? std::string_view() : std::string_view(text_).substr(slash + 1);
  }
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
