// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/config_change.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>

#include "config/options.h"

namespace trunkline::app {
namespace {

using config::Settings;

// Options of a map that adapters know nothing of.
bool adapter_knows(const DeviceMap& map, std::string_view option) {
  static const std::set<std::string_view> kOthers{"priority", "in_flight", "max_bytes", "max_messages",
                                                  "max_age",  "on_full",   "samples"};
  const auto top = option.substr(0, option.find('.'));
  if (map.tcp && top == "map") return false;
  return !kOthers.contains(top);
}

ConfigChange::Device compare(const DeviceMap& before, const DeviceMap& after) {
  static const WrittenMap kNothing;
  const auto& old = before.written ? *before.written : kNothing;
  const auto& now = after.written ? *after.written : kNothing;
  ConfigChange::Device out{before, after, {}, false};
  const auto note = [&](const std::string& name, const std::string& was, const std::string& is) {
    out.options.push_back({name, was, is});
    out.adapter = out.adapter || adapter_knows(after, name);
  };
  for (const auto& [name, was] : old) {
    const auto found = now.find(name);
    if (found == now.end()) {
      note(name, was, {});
    } else if (found->second != was) {
      note(name, was, found->second);
    }
  }
  for (const auto& [name, is] : now) {
    if (!old.contains(name)) note(name, {}, is);
  }
  return out;
}

std::size_t broker_of(const Settings& settings, const std::string& name) {
  const auto found =
      std::find_if(settings.mqtt.begin(), settings.mqtt.end(), [&](const auto& one) { return one.name == name; });
  return static_cast<std::size_t>(found - settings.mqtt.begin());
}

void compare_options(const Settings& before, const Settings& after, ConfigChange& out) {
  const auto look = [&](const config::Option& option, std::size_t was, std::size_t is, const std::string& name) {
    auto old = option.value(before, was);
    auto now = option.value(after, is);
    if (old != now) out.options.push_back({{name, std::move(old), std::move(now)}, option.reloadable});
  };
  for (const auto& option : config::options()) {
    if (option.table == "mqtt") {
      for (std::size_t i = 0; i < before.mqtt.size(); ++i) {
        const auto& name = before.mqtt[i].name;
        const auto is = broker_of(after, name);
        const auto shown = "mqtt" + (name == "default" ? std::string() : "(" + name + ")");
        if (is < after.mqtt.size()) {
          look(option, i, is, shown + "." + std::string(option.name));
        } else if (option.name == "name") {
          out.options.push_back({{shown, "[[mqtt]]", ""}, false});
        }
      }
    } else if (option.table == "coap") {
      if (before.coap && after.coap) look(option, 0, 0, option.full_name());
      if (before.coap && !after.coap && option.name == "listen") out.options.push_back({{"coap", "[coap]", ""}, false});
    } else {
      look(option, 0, 0, option.full_name());
    }
  }
  for (const auto& broker : after.mqtt) {
    if (broker_of(before, broker.name) == before.mqtt.size()) out.brokers.push_back(broker.name);
  }
  out.coap = !before.coap && after.coap;
}

json::object to_json(const ConfigChange::Text& text) {
  return {{"name", text.name}, {"before", text.before}, {"after", text.after}};
}

}  // namespace

ConfigChange compare(const Settings& before, const Settings& after) {
  ConfigChange out;
  std::unordered_map<DeviceId, const DeviceMap*> old;
  for (const auto& map : before.devices) old.emplace(map.id, &map);
  for (const auto& map : after.devices) {
    const auto found = old.find(map.id);
    if (found == old.end()) {
      out.added.push_back(map);
      continue;
    }
    auto changed = compare(*found->second, map);
    if (!changed.options.empty()) out.changed.push_back(std::move(changed));
    old.erase(found);
  }
  for (const auto& map : before.devices) {
    if (old.contains(map.id)) out.removed.push_back(map);
  }
  compare_options(before, after, out);
  return out;
}

Settings merged(const Settings& before, Settings after) {
  auto out = before;
  out.devices = std::move(after.devices);
  out.families = std::move(after.families);
  out.hub.token_lifetime = after.hub.token_lifetime;
  out.hub.attach_rate = after.hub.attach_rate;
  out.hub.send_rate = after.hub.send_rate;
  out.spool.max_age = after.spool.max_age;
  out.log_level = after.log_level;
  for (auto& broker : after.mqtt) {
    if (broker_of(before, broker.name) == before.mqtt.size()) out.mqtt.push_back(std::move(broker));
  }
  if (!out.coap) out.coap = std::move(after.coap);
  return out;
}

json::object to_json(const ConfigChange& change) {
  const auto ids = [](const std::vector<DeviceMap>& maps) {
    json::array out;
    for (const auto& map : maps) out.emplace_back(map.id.text());
    return out;
  };
  json::array changed;
  for (const auto& device : change.changed) {
    json::array options;
    for (const auto& option : device.options) options.push_back(to_json(option));
    changed.push_back({{"id", device.after.id.text()}, {"options", std::move(options)}});
  }
  json::array options;
  for (const auto& option : change.options) {
    auto row = to_json(option.text);
    row["needs"] = option.reloadable ? "reload" : "restart";
    options.push_back(std::move(row));
  }
  json::array tables;
  for (const auto& broker : change.brokers)
    tables.emplace_back("mqtt" + (broker == "default" ? "" : "(" + broker + ")"));
  if (change.coap) tables.emplace_back("coap");
  return {{"added", ids(change.added)},
          {"removed", ids(change.removed)},
          {"changed", std::move(changed)},
          {"options", std::move(options)},
          {"tables", std::move(tables)}};
}

}  // namespace trunkline::app
