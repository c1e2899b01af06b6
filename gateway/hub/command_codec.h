// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/message.hpp>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/core/command.h"

namespace trunkline::hub {

// Reads cloud-to-device messages (hub-amqp-protocol.md 6.1). Keeps its buffers, so one for a thread.
class CommandDecoder {
 public:
  // Fails with `invalid` for what is no AMQP message, has no sequence number, or whose body is neither bytes nor text.
  Result<Command> decode(const DeviceId& device, std::string_view bytes, SteadyTime deadline);

 private:
  proton::message message_;
  std::vector<char> buffer_;
};

}  // namespace trunkline::hub
