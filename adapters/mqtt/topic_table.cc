// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/topic_table.h"

#include "gateway/base/encoding.h"

namespace trunkline::mqtt {

namespace {

// MQTT 5.0 section 1.5.4: a UTF-8 string without U+0000 and at most 65535 bytes.
constexpr std::size_t kMaxTopicLength = 65'535;

// MQTT 5.0 section 4.7.
Result<void> check_topic(const DeviceMap& device, const std::string& topic) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::invalid, "device " + device.id.text() + ": topic \"" + topic + "\" " + std::string(why));
  };
  if (topic.empty()) return refuse("is empty");
  if (topic.size() > kMaxTopicLength) return refuse("is longer than MQTT allows");
  if (topic.find_first_of("+#") != std::string::npos) return refuse("has a wildcard; write the device's own topic");
  if (topic.find('\0') != std::string::npos || !is_utf8(topic)) return refuse("is not a UTF-8 text");
  return {};
}

}  // namespace

Result<TopicTable> TopicTable::make(const std::vector<DeviceMap>& devices) {
  TopicTable table;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto& map = *devices[i].mqtt;
    if (auto added = table.add(devices[i], map.telemetry, {i, TopicRole::telemetry}); !added) {
      return fail(added.error());
    }
    if (!map.command_reply) continue;
    if (auto added = table.add(devices[i], *map.command_reply, {i, TopicRole::reply}); !added) {
      return fail(added.error());
    }
  }
  for (const auto& device : devices) {
    if (!device.mqtt->command) continue;
    if (auto checked = check_topic(device, *device.mqtt->command); !checked) return fail(checked.error());
    if (table.find(*device.mqtt->command) != nullptr) {
      return fail(ErrorCode::invalid, "device " + device.id.text() + ": command topic \"" + *device.mqtt->command +
                                          "\" is also listened to, so a command would come back as a message");
    }
  }
  return table;
}

const TopicMeaning* TopicTable::find(std::string_view topic) const {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? nullptr : &found->second;
}

Result<void> TopicTable::add(const DeviceMap& device, const std::string& topic, TopicMeaning meaning) {
  if (auto checked = check_topic(device, topic); !checked) return checked;
  if (!topics_.emplace(topic, meaning).second) {
    return fail(ErrorCode::invalid,
                "device " + device.id.text() + ": topic \"" + topic + "\" is used twice, so nobody knows who speaks");
  }
  subscriptions_.push_back(topic);
  return {};
}

}  // namespace trunkline::mqtt
