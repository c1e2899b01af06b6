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

// What is asked of a device. All three go down the same way, because a line to a device carries one at a time, whatever
// it is.
enum class CommandKind : std::uint8_t {
  message,  // a cloud-to-device message (hub-amqp-protocol.md 6.1)
  method,   // a direct method: its outcome carries what the device answered
  desired,  // a change of the twin's desired properties: accepted when the device has it
};

// Something on its way to a device. A value.
struct Command {
  DeviceId device;
  // Of a message the hub's x-opt-sequence-number, unique per device queue; else a number of ours that no other one of
  // this gateway has, restarts included.
  std::uint64_t sequence = 0;
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
  CommandKind kind = CommandKind::message;
  std::string name{};        // of a method
  std::int64_t version = 0;  // of desired properties

  // A name for this command that an adapter may put on its wire and recognise in a reply: the sequence as decimal text.
  [[nodiscard]] std::string wire_id() const { return std::to_string(sequence); }
};

}  // namespace trunkline
