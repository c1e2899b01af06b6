// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/core/device_id.h"
#include "gateway/core/message.h"

namespace trunkline {

// A cloud-to-device message on its way to a device (hub-amqp-protocol.md 6.1). A value.
struct Command {
  DeviceId device;
  std::uint64_t sequence = 0;  // the hub's x-opt-sequence-number: unique per device queue
  // iothub-enqueuedtime: with the sequence it names the command even if the device's queue was made anew.
  std::optional<WallTime> enqueued{};
  std::string id{};              // properties.message-id as text, empty if the service set none
  std::string correlation_id{};  // properties.correlation-id as text
  std::string body{};
  std::string content_type{};
  std::vector<Property> properties{};  // application properties
  std::optional<WallTime> expires{};   // properties.absolute-expiry-time
  unsigned delivery_count = 0;
  SteadyTime deadline = kNever;  // the outcome must be known by then: before the hub's 60 s lock ends (C-01)

  // A name for this command that an adapter may put on its wire and recognise in a reply: the sequence as decimal text.
  [[nodiscard]] std::string wire_id() const { return std::to_string(sequence); }
};

}  // namespace trunkline
