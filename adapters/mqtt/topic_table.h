// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::mqtt {

enum class TopicRole { telemetry, reply };

// What an incoming topic means: which device (its place in the list that the table was made from) and in which role.
struct TopicMeaning {
  std::size_t device = 0;
  TopicRole role = TopicRole::telemetry;
};

// Every topic that one broker's devices speak on. An immutable value once made, so any thread may read it.
class TopicTable {
 public:
  // invalid: a topic that MQTT does not allow, one with a wildcard, one that two devices or two roles share, or a
  // command topic that we would hear ourselves on (a loop). The message names device and topic.
  static Result<TopicTable> make(const std::vector<DeviceMap>& devices);

  // Null when no device speaks there, such as a subscription that an older configuration left in the broker's session.
  [[nodiscard]] const TopicMeaning* find(std::string_view topic) const;

  // What to subscribe to, each once, in the order of the devices.
  [[nodiscard]] const std::vector<std::string>& subscriptions() const { return subscriptions_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  Result<void> add(const DeviceMap& device, const std::string& topic, TopicMeaning meaning);

  std::unordered_map<std::string, TopicMeaning, Hash, std::equal_to<>> topics_;
  std::vector<std::string> subscriptions_;
};

}  // namespace trunkline::mqtt
