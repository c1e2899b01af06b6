// SPDX-License-Identifier: Apache-2.0
#include "gateway/core/message.h"

namespace trunkline {

std::string_view to_string(Source source) {
  switch (source) {
    case Source::mqtt:
      return "mqtt";
    case Source::coap:
      return "coap";
    case Source::tcp:
      return "tcp";
  }
  return "unknown";
}

std::string message_id(std::string_view spool_uuid, Position position) {
  std::string id(spool_uuid);
  id += '-';
  id += std::to_string(position.run());
  id += '-';
  id += std::to_string(position.sequence());
  return id;
}

std::size_t Message::footprint() const {
  // A row's fixed columns, its cell in the B-tree and its share of page slack.
  constexpr std::size_t kRow = 64;
  std::size_t size = kRow + telemetry.body.size() + telemetry.content_type.size() + telemetry.content_encoding.size() +
                     telemetry.source_key.size();
  for (const auto& property : telemetry.properties) size += property.name.size() + property.value.size() + 8;
  return size;
}

}  // namespace trunkline
