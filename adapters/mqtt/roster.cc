// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/roster.h"

#include <algorithm>

namespace trunkline::mqtt {

Result<RosterPtr> Roster::make(const std::string& broker, const std::vector<DeviceMap>& maps) {
  return Roster().with(broker, {{}, maps});
}

Result<RosterPtr> Roster::with(const std::string& broker, const DeviceChanges& changes) const {
  auto out = std::make_shared<Roster>();
  out->devices = devices;
  out->notes = notes;
  out->places = places;
  for (const auto& id : changes.removed) {
    if (const auto found = out->places.find(id); found != out->places.end()) out->devices[found->second].mqtt.reset();
  }
  for (const auto& map : changes.added) {
    if (map.mqtt && map.mqtt->broker == broker) out->put(map);
  }
  if (auto made = out->finish(); !made) return fail(made.error());
  return RosterPtr(std::move(out));
}

void Roster::put(const DeviceMap& map) {
  const auto [found, fresh] = places.emplace(map.id, devices.size());
  if (!fresh) {
    devices[found->second] = map;
    return;
  }
  devices.push_back(map);
  notes.push_back(std::make_shared<DeviceNote>());
}

Result<void> Roster::finish() {
  auto table = TopicTable::make(devices);
  if (!table) return fail(table.error());
  topics = std::move(*table);
  for (const auto& device : devices) {
    if (device.mqtt && device.mqtt->command && device.command_done == CommandDone::replied &&
        !device.mqtt->command_reply) {
      return fail(ErrorCode::invalid, "device " + device.id.text() +
                                          ": a command is done when the device replied, but no reply topic is mapped");
    }
  }
  return {};
}

bool Roster::any_proved_by_puback() const {
  return std::any_of(devices.begin(), devices.end(), [](const DeviceMap& device) {
    return device.mqtt && ((device.mqtt->command && device.command_done == CommandDone::acknowledged) ||
                           (device.mqtt->desired && !device.mqtt->reported));
  });
}

}  // namespace trunkline::mqtt
