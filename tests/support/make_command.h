// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "gateway/core/command.h"

namespace trunkline::test {

inline Command make_command(const std::string& device, std::uint64_t sequence, std::string body, SteadyTime deadline) {
  Command command{.device = *DeviceId::parse(device)};
  command.sequence = sequence;
  command.body = std::move(body);
  command.deadline = deadline;
  return command;
}

}  // namespace trunkline::test
