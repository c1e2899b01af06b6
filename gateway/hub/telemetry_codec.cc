// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/telemetry_codec.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "gateway/base/clock.h"
#include "gateway/base/encoding.h"
#include "gateway/hub/dialect.h"
#include "gateway/hub/hub_link.h"

namespace trunkline::hub {

namespace {

// The message-id and the times with their names, at their longest: they are ours and count for the hub.
constexpr std::size_t kMessageIdBytes = 64;
constexpr std::size_t kTimeBytes = 24;

std::string_view symbol(std::string_view text) {
  const bool fine = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  return fine ? text : std::string_view();
}

}  // namespace

std::string_view TelemetryEncoder::fit(std::string_view text) {
  if (is_utf8(text)) return text;
  auto& copy = repaired_.emplace_back(text);
  for (char& c : copy) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return copy;
}

// As message_id() of gateway/core has it, in the same memory each time.
void TelemetryEncoder::write_id(Position position) {
  id_.resize(spool_uuid_.size());
  for (const auto number : {position.run(), position.sequence()}) {
    std::array<char, 21> digits{'-'};
    const auto end = std::to_chars(digits.data() + 1, digits.data() + digits.size(), number).ptr;
    id_.append(digits.data(), end);
  }
}

Result<std::string_view> TelemetryEncoder::encode(const Message& message) {
  const auto& telemetry = message.telemetry;
  bytes_.clear();
  pairs_.clear();
  repaired_.clear();
  repaired_.reserve(telemetry.properties.size() * 2);  // the views below stay where they are
  bool has_creation_time = false;
  for (const auto& property : telemetry.properties) {
    pairs_.push_back({fit(property.name), fit(property.value)});
    has_creation_time = has_creation_time || property.name == kCreationTime;
  }
  write_id(message.position);
  // Messages may wait in the spool, so the hub's own arrival time says little. The creation time is the device's where
  // it has one, and then ours goes beside it.
  const auto received = to_rfc3339(message.received);
  const auto created = telemetry.device_time ? to_rfc3339(*telemetry.device_time) : received;
  if (!has_creation_time) pairs_.push_back({kCreationTime, created});
  if (telemetry.device_time) pairs_.push_back({kReceivedTime, received});
  amqp::BareMessage bare;
  bare.message_id = id_;
  bare.content_type = symbol(telemetry.content_type);
  bare.content_encoding = symbol(telemetry.content_encoding);
  bare.application_properties = pairs_;
  bare.body = telemetry.body;
  if (auto written = append(bare, bytes_); !written) return fail(written.error());
  return std::string_view(bytes_);
}

std::size_t HubMessageSizer::size(const Telemetry& telemetry) const {
  std::size_t size = telemetry.body.size() + telemetry.content_type.size() + telemetry.content_encoding.size() +
                     kMessageIdBytes + kCreationTime.size() + kTimeBytes;
  if (telemetry.device_time) size += kReceivedTime.size() + kTimeBytes;
  for (const auto& property : telemetry.properties) size += property.name.size() + property.value.size();
  return size;
}

}  // namespace trunkline::hub
