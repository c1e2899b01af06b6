// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/core/message.h"

namespace trunkline {

// A message that the hub will never take, with its reason. It stays until the operator requeues or purges it (D-04).
struct DeadLetter {
  Position position;  // its name for the operator: "<run>-<sequence>"
  DeviceId device;
  WallTime received{};
  WallTime settled{};  // when the hub said so
  std::string outcome;
  std::string condition;
  std::string description;
  std::uint64_t footprint = 0;
  std::optional<Telemetry> telemetry;  // only where it was asked for, and if it is readable
};

// Which ones, in order of position.
struct DeadLetterQuery {
  std::optional<DeviceId> device{};
  std::optional<Position> only{};
  Position after{};
  std::size_t limit = 100;
  bool with_telemetry = false;
};

std::string dead_letter_name(Position position);
std::optional<Position> parse_dead_letter_name(std::string_view text);

}  // namespace trunkline
