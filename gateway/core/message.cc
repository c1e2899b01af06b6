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
  // What the row takes of SQLite's 4 KiB pages ("Database File Format", B-tree pages): small rows share a page and
  // leave a remainder unused; a large one keeps its head in the page and fills overflow pages of its own.
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kUsable = kPage - 12;
  constexpr std::size_t kColumns = 40;
  constexpr std::size_t kLargestInPage = kPage - 35;
  constexpr std::size_t kLargestHead = 512;
  constexpr std::size_t kOverflow = kPage - 4;
  std::size_t size = kColumns + telemetry.body.size() + telemetry.content_type.size() +
                     telemetry.content_encoding.size() + telemetry.source_key.size();
  for (const auto& property : telemetry.properties) size += property.name.size() + property.value.size() + 8;
  if (size <= kLargestInPage) return kPage / (kUsable / size);
  return kLargestHead + (size + kOverflow - 1) / kOverflow * kPage;
}

}  // namespace trunkline
