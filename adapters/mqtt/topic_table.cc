// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/topic_table.h"

#include <algorithm>
#include <unordered_set>

#include "gateway/mapping/json_text.h"

namespace trunkline::mqtt {

namespace {

Error refusal(const DeviceMap& device, const std::string& topic, std::string_view why) {
  return {ErrorCode::invalid, "device " + device.id.text() + ": topic \"" + topic + "\" " + std::string(why)};
}

Result<TopicPattern> parse(const DeviceMap& device, const std::string& topic) {
  auto parsed = TopicPattern::parse(topic);
  if (!parsed) return fail(refusal(device, topic, parsed.error().message));
  return parsed;
}

// The text or whole number at a pointer.
std::optional<std::string> key_in(std::string_view payload, const std::string& pointer) {
  const auto value = read_json(payload);
  if (!value) return std::nullopt;
  boost::system::error_code failed;
  const auto* key = value->find_pointer(pointer, failed);
  if (key == nullptr) return std::nullopt;
  if (key->is_string()) return std::string(key->get_string());
  if (key->is_int64() || key->is_uint64()) return json_text(*key);
  return std::nullopt;
}

}  // namespace

Result<TopicTable> TopicTable::make(const std::vector<DeviceMap>& devices) {
  TopicTable table;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!devices[i].mqtt) continue;
    if (auto added = table.add_device(devices[i], i); !added) return fail(added.error());
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!devices[i].mqtt) continue;
    const auto& map = *devices[i].mqtt;
    for (const auto* topic : {&map.command, &map.method, &map.desired}) {
      if (!*topic) continue;
      if (auto checked = table.check_sent(devices[i], i, **topic); !checked) return fail(checked.error());
    }
  }
  table.subscribe(devices);
  return table;
}

Result<void> TopicTable::add_device(const DeviceMap& device, std::size_t place) {
  const auto& map = *device.mqtt;
  auto heard = map.more_telemetry;
  heard.insert(heard.begin(), map.telemetry);
  for (const auto& topic : heard) {
    Rule rule{TopicRole::telemetry, place};
    if (map.key) {
      rule.pointer = map.key->pointer;
      rule.by_value.emplace(map.key->value, place);
    }
    if (auto added = add(device, topic, std::move(rule)); !added) return added;
  }
  if (map.command_reply) {
    if (auto added = add(device, *map.command_reply, {TopicRole::reply, place}); !added) return added;
  }
  if (map.method_reply) {
    if (auto added = add(device, *map.method_reply, {TopicRole::method_reply, place}); !added) return added;
  }
  if (map.reported) {
    if (auto added = add(device, *map.reported, {TopicRole::reported, place}); !added) return added;
  }
  if (map.presence) {
    if (auto added = add(device, map.presence->topic, {TopicRole::presence, place}); !added) return added;
  }
  if (map.bridge) {
    if (auto added = add(device, map.bridge->topic, {TopicRole::bridge, place, {}, {}, {place}}); !added) return added;
  }
  for (const auto& topic : map.ignore) {
    if (auto added = add(device, topic, {TopicRole::ignored, place}); !added) return added;
  }
  return {};
}

Result<void> TopicTable::add(const DeviceMap& device, const std::string& topic, Rule rule) {
  const auto pattern = parse(device, topic);
  if (!pattern) return fail(pattern.error());
  const auto there = topics_.add(*pattern, rules_.size());
  if (!there) {
    rules_.push_back(std::move(rule));
    return {};
  }
  auto& other = rules_[*there];
  const bool joins = other.role == rule.role && other.pointer == rule.pointer;
  if (joins && rule.role == TopicRole::ignored) return {};
  if (joins && rule.role == TopicRole::bridge) {
    other.behind.push_back(rule.device);
    return {};
  }
  if (joins && !rule.pointer.empty() && other.by_value.emplace(*rule.by_value.begin()).second) return {};
  return fail(refusal(device, topic, "is used twice, so nobody knows who speaks"));
}

Result<void> TopicTable::check_sent(const DeviceMap& device, std::size_t place, const std::string& sent) {
  const auto pattern = parse(device, sent);
  if (!pattern) return fail(pattern.error());
  // Any value will do: what varies in a command's topic varies in what would hear it.
  Captures any;
  for (const auto& level : pattern->levels()) {
    if (level.kind == TopicPattern::Level::Kind::literal) continue;
    if (level.text.empty()) return fail(refusal(device, sent, "has a wildcard; name what varies"));
    any.push_back({level.text, "x"});
  }
  const auto topic = pattern->fill(any);
  if (!topic) return fail(refusal(device, sent, topic.error().message));
  const auto match = topics_.find(*topic);
  // A wide filter of ours may bring our own commands back; they mean nothing.
  if (!match) return add(device, sent, {TopicRole::ignored, place});
  if (rules_[match->value].role != TopicRole::ignored) {
    return fail(ErrorCode::invalid, "device " + device.id.text() + ": command topic \"" + sent +
                                        "\" is also listened to, so a command would come back as a message");
  }
  return {};
}

void TopicTable::subscribe(const std::vector<DeviceMap>& devices) {
  std::vector<Subscription> all;
  std::unordered_set<std::string> seen;
  const auto want = [&](const std::string& filter, bool state) {
    if (seen.insert(filter).second) all.push_back({filter, state});
  };
  const auto filter_of = [](const std::string& topic) { return TopicPattern::parse(topic).value().filter(); };
  for (const auto& device : devices) {
    if (!device.mqtt) continue;
    const auto& map = *device.mqtt;
    if (!map.filters.empty()) {
      for (const auto& filter : map.filters) want(filter, false);
      continue;
    }
    want(filter_of(map.telemetry), false);
    for (const auto& topic : map.more_telemetry) want(filter_of(topic), false);
    for (const auto* topic : {&map.command_reply, &map.method_reply, &map.reported}) {
      if (*topic) want(filter_of(**topic), false);
    }
  }
  for (const auto& device : devices) {
    if (!device.mqtt) continue;
    const auto& map = *device.mqtt;
    for (const auto& filter : map.state_filters) want(filter, true);
    if (!map.filters.empty()) continue;
    if (map.presence) want(filter_of(map.presence->topic), true);
    if (map.bridge) want(filter_of(map.bridge->topic), true);
  }
  std::vector<std::string> wide;
  for (const auto& one : all) {
    if (!one.state && one.filter.find_first_of("+#") != std::string::npos) wide.push_back(one.filter);
  }
  for (auto& one : all) {
    const bool covered = !one.state && std::any_of(wide.begin(), wide.end(), [&one](const std::string& other) {
      return other != one.filter && filter_covers(other, one.filter);
    });
    if (!covered) subscriptions_.push_back(std::move(one));
  }
}

std::optional<TopicMeaning> TopicTable::find(std::string_view topic, std::string_view payload) const {
  auto match = topics_.find(topic);
  if (!match) return std::nullopt;
  const auto& rule = rules_[match->value];
  TopicMeaning out{rule.device, rule.role, std::move(match->captures), rule.behind};
  if (!rule.pointer.empty()) {
    const auto key = key_in(payload, rule.pointer);
    const auto found = key ? rule.by_value.find(*key) : rule.by_value.end();
    if (found == rule.by_value.end()) return std::nullopt;
    out.device = found->second;
  }
  return out;
}

}  // namespace trunkline::mqtt
