// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/command_codec.h"

#include <map>
#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/codec/map.hpp>
#include <proton/error.hpp>
#include <proton/map.hpp>
#include <proton/message_id.hpp>
#include <proton/scalar.hpp>
#include <proton/symbol.hpp>
#include <proton/timestamp.hpp>
#include <proton/uuid.hpp>
#include <stdexcept>

#include "gateway/amqp/engine.h"
#include "gateway/base/encoding.h"
#include "gateway/hub/dialect.h"
#include "gateway/hub/message_body.h"

namespace trunkline::hub {

namespace {

WallTime wall(proton::timestamp time) {
  return WallTime(Milliseconds(time.milliseconds()));
}

std::string text_of(const proton::scalar_base& value) {
  switch (value.type()) {
    case proton::NULL_TYPE:
      return {};
    case proton::BINARY: {
      const auto bytes = proton::internal::get<proton::binary>(value);
      return hex_encode(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    case proton::UUID:
      return proton::internal::get<proton::uuid>(value).str();
    case proton::STRING:
      return proton::internal::get<std::string>(value);
    default:
      return proton::to_string(value);
  }
}

void read_annotations(const proton::message& message, Command& command) {
  const auto& annotations = message.message_annotations();
  const auto sequence = annotations.get(proton::symbol(kSequenceNumber));
  if (sequence.empty()) throw std::invalid_argument("no sequence number");
  command.sequence = proton::coerce<std::uint64_t>(sequence);
  if (const auto count = annotations.get(proton::symbol(kDeliveryCount)); !count.empty()) {
    command.delivery_count = proton::coerce<std::uint32_t>(count);
  }
  if (const auto time = annotations.get(proton::symbol(kEnqueuedTime)); time.type() == proton::TIMESTAMP) {
    command.enqueued = wall(proton::get<proton::timestamp>(time));
  }
}

void read_properties(const proton::message& message, Command& command) {
  command.id = text_of(message.id());
  command.correlation_id = text_of(message.correlation_id());
  command.content_type = message.content_type();
  if (message.expiry_time().milliseconds() != 0) command.expires = wall(message.expiry_time());
  std::map<std::string, proton::scalar> all;
  proton::get(message.properties(), all);
  for (const auto& [name, value] : all) command.properties.push_back({name, text_of(value)});
}

}  // namespace

Result<Command> CommandDecoder::decode(const DeviceId& device, std::string_view bytes, SteadyTime deadline) {
  try {
    buffer_.assign(bytes.begin(), bytes.end());
    message_.clear();
    message_.decode(buffer_);
    Command command{.device = device};
    command.deadline = deadline;
    read_annotations(message_, command);
    read_properties(message_, command);
    command.body = body_of(message_.body());
    return command;
  } catch (const std::exception& e) {
    return fail(ErrorCode::invalid, amqp::printable(e.what()));
  }
}

}  // namespace trunkline::hub
