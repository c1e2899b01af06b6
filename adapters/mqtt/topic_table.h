// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/mapping/device_map.h"
#include "gateway/mapping/topic_matcher.h"

namespace trunkline::mqtt {

enum class TopicRole {
  telemetry,
  reply,
  method_reply,
  reported,
  presence,  // of one device
  bridge,    // of what stands before several devices
  ignored,   // a map says that it means nothing
};

// What an incoming topic means: which device (its place in the list that the table was made from) and in which role.
struct TopicMeaning {
  std::size_t device = 0;
  TopicRole role = TopicRole::telemetry;
  Captures captures{};                // what the topic says beyond the device
  std::vector<std::size_t> behind{};  // the devices of a bridge
};

struct Subscription {
  std::string filter;
  bool state = false;  // presence: retained messages are wanted at every connect
  friend bool operator==(const Subscription&, const Subscription&) = default;
};

// Every topic that one broker's devices speak on; the most specific pattern wins. An immutable value once made, so any
// thread may read it.
class TopicTable {
 public:
  // Those without `mqtt` have no topics. invalid: a topic that MQTT does not allow, one that two devices or two roles
  // share, or a command topic that we would hear ourselves on (a loop). The message names device and topic.
  static Result<TopicTable> make(const std::vector<DeviceMap>& devices);

  // Nothing when no device speaks there. The payload is looked at only for devices that share a topic.
  [[nodiscard]] std::optional<TopicMeaning> find(std::string_view topic, std::string_view payload = {}) const;

  // What to subscribe to: no filter that another one covers, since a broker may deliver once for each.
  [[nodiscard]] const std::vector<Subscription>& subscriptions() const { return subscriptions_; }

 private:
  struct Rule {
    TopicRole role = TopicRole::telemetry;
    std::size_t device = 0;
    std::string pointer{};  // devices that share the topic, by what the payload says there
    std::unordered_map<std::string, std::size_t> by_value{};
    std::vector<std::size_t> behind{};
  };
  Result<void> add(const DeviceMap& device, const std::string& topic, Rule rule);
  Result<void> add_device(const DeviceMap& device, std::size_t place);
  Result<void> check_sent(const DeviceMap& device, std::size_t place, const std::string& topic);
  void subscribe(const std::vector<DeviceMap>& devices);

  TopicMatcher topics_;
  std::vector<Rule> rules_;
  std::vector<Subscription> subscriptions_;
};

}  // namespace trunkline::mqtt
