// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/amqp/message_writer.h"
#include "gateway/core/message.h"

namespace trunkline::hub {

// Turns messages into the hub's AMQP form (hub-amqp-protocol.md 5.1). Keeps its buffers, so one for a thread; the bytes
// that it hands out are valid until the next call. Texts that AMQP or the hub would refuse are repaired, because one
// device's bad byte must not end the connection of all: what is no UTF-8 gets "?" for each byte that is no ASCII, and a
// content type that is no printable ASCII is left out.
class TelemetryEncoder {
 public:
  explicit TelemetryEncoder(std::string spool_uuid) : spool_uuid_(std::move(spool_uuid)), id_(spool_uuid_) {}

  Result<std::string_view> encode(const Message& message);

 private:
  std::string_view fit(std::string_view text);
  void write_id(Position position);

  std::string spool_uuid_;
  std::string id_;  // begins with spool_uuid_
  std::string bytes_;
  std::vector<amqp::NamedText> pairs_;
  std::vector<std::string> repaired_;
};

}  // namespace trunkline::hub
