// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace trunkline {

// How devices are ranked when not all can be served at once; within a device, order rules (D-03).
enum class Priority : std::uint8_t { alarm, normal, bulk };

constexpr std::string_view to_string(Priority priority) {
  switch (priority) {
    case Priority::alarm:
      return "alarm";
    case Priority::normal:
      return "normal";
    case Priority::bulk:
      return "bulk";
  }
  return "normal";
}

}  // namespace trunkline
