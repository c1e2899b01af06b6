// SPDX-License-Identifier: Apache-2.0
#include "gateway/core/message.h"

#include <algorithm>

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
  // What the row takes of SQLite's 4 KiB pages ("Database File Format", sections 1.6 and 1.7): small rows share a page
  // and leave a remainder unused; of a large one a part stays in the page and the rest fills overflow pages of its own.
  // In 32 bits, because this is asked for often and divides.
  constexpr std::uint32_t kPage = 4096;
  constexpr std::uint32_t kColumns = 44;
  constexpr std::uint32_t kLargest = kPage - 35;
  constexpr std::uint32_t kSmallest = (kPage - 12) * 32 / 255 - 23;
  constexpr std::uint32_t kOverflow = kPage - 4;
  const auto share_of_page = [](std::uint32_t cell) {
    return kPage / std::max<std::uint32_t>(1, (kPage - 8) / (cell + 2));
  };
  std::size_t bytes = kColumns + telemetry.body.size() + telemetry.content_type.size() +
                      telemetry.content_encoding.size() + telemetry.source_key.size();
  if (telemetry.device_time) bytes += 16;
  for (const auto& property : telemetry.properties) bytes += property.name.size() + property.value.size() + 8;
  const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, 1U << 30));
  if (size <= kLargest) return share_of_page(size);
  const auto wanted = kSmallest + (size - kSmallest) % kOverflow;
  const auto in_page = wanted <= kLargest ? wanted : kSmallest;
  return share_of_page(in_page + 4) + (size - in_page + kOverflow - 1) / kOverflow * kPage;
}

}  // namespace trunkline
