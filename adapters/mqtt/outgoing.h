// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/encoding.h"
#include "gateway/core/message.h"

namespace trunkline::mqtt {

// A command as it is published: QoS 1, not retained. A value. Without MQTT 5 only topic and payload go out.
struct Outgoing {
  std::string topic;
  std::string payload;
  std::string content_type;
  std::string correlation;
  std::string response_topic;
  std::optional<Milliseconds> expiry;
  std::vector<Property> properties;

  // MQTT 5.0 section 3.3.2.3.3: whole seconds.
  [[nodiscard]] std::optional<std::int32_t> expiry_seconds() const {
    if (!expiry) return std::nullopt;
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(expiry->count() / 1000, 1, INT32_MAX));
  }
};

// A text that MQTT cannot carry would make the broker drop the whole connection, so it is left out.
inline bool carries(std::string_view text) {
  constexpr std::size_t kMaxText = 65'535;  // MQTT 5.0 section 1.5.4
  return text.size() <= kMaxText && text.find('\0') == std::string_view::npos && is_utf8(text);
}

}  // namespace trunkline::mqtt
