// SPDX-License-Identifier: Apache-2.0
#include "gateway/core/device_id.h"

namespace trunkline {

namespace {

Result<void> check(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::invalid, "a device id is empty");
  if (text.size() > DeviceId::kMaxLength) {
    return fail(ErrorCode::invalid,
                "a device id has " + std::to_string(text.size()) + " characters, the hub allows 128");
  }
  static constexpr std::string_view kMarks = "-.+%_#*?!(),=@$':;";
  for (char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && kMarks.find(c) == std::string_view::npos) {
      return fail(
          ErrorCode::invalid,
          "a device id has a character that the hub refuses; allowed are letters, digits and " + std::string(kMarks));
    }
  }
  return {};
}

}  // namespace

Result<DeviceId> DeviceId::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (auto good = check(text.substr(0, slash)); !good) return fail(good.error());
  if (slash != std::string_view::npos) {
    if (auto good = check(text.substr(slash + 1)); !good) return fail(good.error().in("the module's part"));
  }
  return DeviceId(std::string(text));
}

}  // namespace trunkline
