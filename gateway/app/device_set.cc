// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/device_set.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <unordered_map>
#include <utility>

#include "adapters/coap/coap_adapter.h"
#include "adapters/mqtt/mqtt_adapter.h"
#include "adapters/tcp/tcp_adapter.h"
#include "gateway/app/limits.h"
#include "gateway/base/log.h"

namespace trunkline::app {

namespace asio = boost::asio;

namespace {

bool differs(const ConfigChange& change, std::string_view option) {
  return std::any_of(change.options.begin(), change.options.end(),
                     [option](const auto& one) { return one.text.name == option; });
}

std::string name_of(const config::Mqtt& broker) {
  return adapter_name(broker.name);
}

CommandKeeper::Limits limits_of(const DeviceMap& map) {
  return {.takes = map.keeps_commands,
          .commands = map.max_commands,
          .bytes = map.max_command_bytes,
          .keep = map.command_keep,
          .timeout = map.command_timeout};
}

}  // namespace

std::string adapter_name(const std::string& broker) {
  return broker == "default" ? "mqtt" : "mqtt-" + broker;
}

// One change on its way through the threads.
struct DeviceSet::Step {
  ConfigChange change;
  std::vector<std::pair<Adapter*, DeviceChanges>> adapters;
  std::size_t next = 0;
  std::function<void(Result<void>)> done;
};

Adapter* DeviceSet::adapter_of(const DeviceMap& map) const {
  const std::string_view name = map.tcp ? "tcp" : map.coap ? "coap" : "mqtt";
  const std::string broker = map.mqtt ? map.mqtt->broker : "";
  for (const auto& adapter : adapters_) {
    const bool fits = map.mqtt && broker != "default" ? adapter->name() == "mqtt-" + broker : adapter->name() == name;
    if (fits) return adapter.get();
  }
  return nullptr;
}

HubLoop::Mapped DeviceSet::mapped(const DeviceMap& map) const {
  return {map.id,
          {.max_in_flight = map.in_flight,
           .commands = map.takes_commands(),
           .stored = map.keeps_commands,
           .methods = map.takes_methods(),
           .twin = map.takes_desired() || map.reports() || parts_.settings.hub.report_state,
           .desired = map.takes_desired(),
           .command_timeout = map.command_timeout,
           .method_timeout = map.method_timeout,
           .priority = map.priority},
          adapter_of(map),
          map.keeps_commands ? std::optional(limits_of(map)) : std::nullopt};
}

void DeviceSet::make_adapters(std::vector<Adapter*>& fresh) {
  const auto& settings = parts_.settings;
  const auto& devices = settings.devices;
  const auto any = [&devices](auto member) {
    return std::any_of(devices.begin(), devices.end(),
                       [member](const DeviceMap& map) { return (map.*member).has_value(); });
  };
  const auto there = [this](std::string_view name) {
    return std::any_of(adapters_.begin(), adapters_.end(), [&](const auto& one) { return one->name() == name; });
  };
  const auto add = [&](std::unique_ptr<Adapter> adapter) {
    fresh.push_back(adapter.get());
    adapters_.push_back(std::move(adapter));
  };
  if (any(&DeviceMap::tcp) && !there("tcp")) {
    add(std::make_unique<TcpAdapter>(devices, parts_.clock, parts_.metrics));
  }
  if (settings.coap && any(&DeviceMap::coap) && !there("coap")) {
    add(std::make_unique<CoapAdapter>(*settings.coap, devices, parts_.clock, parts_.metrics));
  }
  for (const auto& broker : settings.mqtt) {
    if (there(name_of(broker))) continue;
    add(std::make_unique<MqttAdapter>(broker, devices, parts_.clock, parts_.metrics));
  }
}

Result<void> DeviceSet::prepare() {
  auto& spool = parts_.spool;
  parts_.capacity.set_fallback(policy_of(parts_.settings, nullptr));
  for (const auto& map : parts_.settings.devices) {
    parts_.capacity.set_policy(map.id, policy_of(parts_.settings, &map));
  }
  std::vector<DeviceId> backlog;
  for (const auto& held : spool.devices()) {
    parts_.capacity.occupy(held.device, held.bytes + held.dead_letter_bytes, held.messages + held.dead_letters);
    if (held.messages > 0) backlog.push_back(held.device);
  }
  std::vector<Adapter*> fresh;
  make_adapters(fresh);
  for (const auto& map : parts_.settings.devices) {
    const auto waits = std::find(backlog.begin(), backlog.end(), map.id);
    const auto one = mapped(map);
    parts_.hub.add(one.device, one.options, waits != backlog.end(), one.adapter);
    if (waits != backlog.end()) backlog.erase(waits);
  }
  // A device that was taken out of the maps still gets rid of what was promised.
  for (const auto& device : backlog) {
    log::warning("device_unmapped", {{"device", device.text()},
                                     {"do", "its waiting messages are still sent; map it again or ignore this"}});
    parts_.hub.add(device, {}, true, nullptr);
  }
  auto records = spool.commands();
  if (!records) return fail(records.error());
  for (const auto& record : *records) parts_.hub.remember(record);
  return restore_kept();
}

// What earlier runs took into our care for devices.
Result<void> DeviceSet::restore_kept() {
  auto kept = parts_.spool.kept_commands();
  if (!kept) return fail(kept.error());
  auto twins = parts_.spool.twins();
  if (!twins) return fail(twins.error());
  for (const auto& map : parts_.settings.devices) {
    const bool owed = std::any_of(kept->begin(), kept->end(),
                                  [&map](const KeptCommand& one) { return one.command.device == map.id; });
    if (!map.keeps_commands && !owed) continue;
    parts_.hub.keep(map.id, limits_of(map));
  }
  for (auto& one : *kept) {
    parts_.capacity.occupy_beside(one.footprint());
    if (!parts_.hub.knows(one.command.device)) {
      log::warning("kept_command_unmapped",
                   {{"device", one.command.device.text()},
                    {"msg", one.command.sequence},
                    {"do", "it is kept until its time is over; map the device again, and it gets it"}});
      parts_.hub.add(one.command.device, {}, false, nullptr);
      parts_.hub.keep(one.command.device, {.takes = false});
    }
    parts_.hub.restore(std::move(one));
  }
  for (const auto& twin : *twins) {
    parts_.capacity.occupy_beside(twin.footprint());
    parts_.hub.restore(twin);
  }
  return {};
}

Result<void> DeviceSet::start() {
  for (const auto& adapter : adapters_) {
    if (auto started = adapter->start(parts_.shaping); !started) return fail(started.error());
  }
  return {};
}

void DeviceSet::stop(SteadyTime deadline) {
  for (const auto& adapter : adapters_) adapter->stop(deadline);
}

std::vector<AdapterStatus> DeviceSet::status() const {
  std::vector<AdapterStatus> out;
  for (const auto& adapter : adapters_) out.push_back(adapter->status());
  return out;
}

void DeviceSet::set_policies(const ConfigChange& change) {
  const auto& settings = parts_.settings;
  if (differs(change, "spool.max_age")) {
    parts_.capacity.set_fallback(policy_of(settings, nullptr));
    for (const auto& map : settings.devices) parts_.capacity.set_policy(map.id, policy_of(settings, &map));
  }
  for (const auto& map : change.added) parts_.capacity.set_policy(map.id, policy_of(settings, &map));
  for (const auto& device : change.changed) {
    parts_.capacity.set_policy(device.after.id, policy_of(settings, &device.after));
  }
  for (const auto& map : change.removed) parts_.capacity.set_policy(map.id, policy_of(settings, nullptr));
}

void DeviceSet::apply(config::Settings wanted, std::function<void(Result<void>)> done) {
  auto step = std::make_shared<Step>(Step{compare(parts_.settings, wanted), {}, 0, std::move(done)});
  const auto& change = step->change;
  // Where they were met before, while the settings still say so.
  std::unordered_map<Adapter*, DeviceChanges> by_adapter;
  for (const auto& map : change.removed) by_adapter[adapter_of(map)].removed.push_back(map.id);
  std::vector<Adapter*> before;
  for (const auto& device : change.changed) before.push_back(adapter_of(device.before));

  parts_.settings = std::move(wanted);
  std::vector<Adapter*> fresh;
  make_adapters(fresh);
  const auto is_fresh = [&](Adapter* adapter) { return std::find(fresh.begin(), fresh.end(), adapter) != fresh.end(); };
  for (const auto& map : change.added) {
    if (auto* adapter = adapter_of(map); !is_fresh(adapter)) by_adapter[adapter].added.push_back(map);
  }
  for (std::size_t i = 0; i < change.changed.size(); ++i) {
    const auto& device = change.changed[i];
    auto* adapter = adapter_of(device.after);
    if (before[i] != adapter) by_adapter[before[i]].removed.push_back(device.after.id);
    if ((device.adapter || before[i] != adapter) && !is_fresh(adapter)) {
      by_adapter[adapter].added.push_back(device.after);
    }
  }
  for (auto& [adapter, changes] : by_adapter) {
    if (adapter != nullptr) step->adapters.emplace_back(adapter, std::move(changes));
  }
  // Those that only lose devices first: an address may go from one to another. Brokers last: what can fail for our own
  // reasons, such as a port in use, has failed by then.
  const auto rank = [](const auto& one) {
    return one.second.added.empty() ? 0 : one.first->name().starts_with("mqtt") ? 2 : 1;
  };
  std::stable_sort(step->adapters.begin(), step->adapters.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });

  set_policies(change);
  DeviceChanges shapes;
  for (const auto& map : change.removed) shapes.removed.push_back(map.id);
  for (const auto& map : change.added) shapes.added.push_back(map);
  for (const auto& device : change.changed) shapes.added.push_back(device.after);
  parts_.shaping.change(shapes);
  const auto& hub = parts_.settings.hub;
  parts_.directory.set_token_lifetime(hub.token_lifetime);
  // A rate that the hub made us lower stays low, unless the operator says otherwise.
  if (differs(change, "hub.attach_rate") || differs(change, "hub.send_rate")) {
    parts_.hub.set_rates(hub.attach_rate, hub.send_rate);
  }

  // The hub's side knows a new device before its first message can come.
  std::vector<HubLoop::Mapped> added;
  for (const auto& map : change.added) added.push_back(mapped(map));
  parts_.hub.change(std::move(added), [this, step, fresh = std::move(fresh)] {
    asio::post(parts_.io, [this, step, fresh] {
      for (std::size_t i = 0; i < fresh.size(); ++i) {
        if (auto started = fresh[i]->start(parts_.shaping); !started) {
          auto error = started.error();
          for (; i < fresh.size(); ++i) drop(fresh[i]);
          return step->done(fail(std::move(error)));
        }
      }
      change_adapters(step);
    });
  });
}

void DeviceSet::change_adapters(const std::shared_ptr<Step>& step) {
  if (step->next == step->adapters.size()) return finish(step);
  auto& [adapter, changes] = step->adapters[step->next++];
  adapter->change(std::move(changes), [this, step](Result<void> changed) {
    asio::post(parts_.io, [this, step, changed = std::move(changed)]() mutable {
      if (!changed) return step->done(std::move(changed));
      change_adapters(step);
    });
  });
}

void DeviceSet::finish(const std::shared_ptr<Step>& step) {
  std::vector<HubLoop::Mapped> changed;
  for (const auto& device : step->change.changed) changed.push_back(mapped(device.after));
  std::vector<DeviceId> removed;
  for (const auto& map : step->change.removed) removed.push_back(map.id);
  parts_.hub.change(std::move(changed), [this, step, removed = std::move(removed)]() mutable {
    parts_.hub.retire(std::move(removed));
    asio::post(parts_.io, [this, step] {
      drop_unwanted();
      step->done({});
    });
  });
}

// After a change that was taken back: what it began is ended.
void DeviceSet::drop_unwanted() {
  const auto& settings = parts_.settings;
  std::vector<Adapter*> unwanted;
  for (const auto& adapter : adapters_) {
    const auto name = adapter->name();
    const bool wanted = name == "tcp" || (name == "coap" && settings.coap) ||
                        std::any_of(settings.mqtt.begin(), settings.mqtt.end(),
                                    [&](const auto& broker) { return name == name_of(broker); });
    if (!wanted) unwanted.push_back(adapter.get());
  }
  for (auto* adapter : unwanted) drop(adapter);
}

void DeviceSet::drop(Adapter* adapter) {
  adapter->stop(parts_.clock.steady());
  const auto found =
      std::find_if(adapters_.begin(), adapters_.end(), [adapter](const auto& one) { return one.get() == adapter; });
  dropped_.push_back(std::move(*found));
  adapters_.erase(found);
}

}  // namespace trunkline::app
