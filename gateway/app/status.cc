// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/status.h"

#include <algorithm>
#include <map>

#include "gateway/base/json.h"

namespace trunkline::app {
namespace {

const char* to_string(Verdict::Level level) {
  switch (level) {
    case Verdict::Level::ok:
      return "ok";
    case Verdict::Level::degraded:
      return "degraded";
    case Verdict::Level::failed:
      return "failed";
  }
  return "failed";
}

const char* to_string(Multiplexer::Connection connection) {
  switch (connection) {
    case Multiplexer::Connection::waiting:
      return "waiting";
    case Multiplexer::Connection::opening:
      return "opening";
    case Multiplexer::Connection::open:
      return "connected";
    case Multiplexer::Connection::stopped:
      return "stopped";
  }
  return "stopped";
}

json::value milliseconds_until(SteadyTime then, SteadyTime now) {
  if (then == kNever) return nullptr;
  return std::max<std::int64_t>(0, std::chrono::duration_cast<Milliseconds>(then - now).count());
}

bool refused(const Multiplexer::DeviceStatus& device) {
  return device.state == SessionState::quarantined || device.state == SessionState::disabled;
}

}  // namespace

Verdict judge(const Snapshot& snapshot, const config::Settings& settings) {
  using Level = Verdict::Level;
  if (!snapshot.store) {
    return {Level::failed, "the store thread does not answer",
            "look at the disk (dmesg, df); restart trunkline if it stays so"};
  }
  if (!snapshot.uplink)
    return {Level::failed, "the hub thread does not answer", "restart trunkline and report the log"};
  if (!snapshot.store->fault.empty()) {
    return {Level::failed, "the spool cannot be written: " + snapshot.store->fault,
            "free space on or repair " + settings.spool.directory + "; devices are not acknowledged until then"};
  }
  if (snapshot.used_bytes >= snapshot.room_bytes / 100 * 98) {
    return {Level::degraded, "the spool is full: devices are held back",
            "see why the hub does not take messages (hub and devices below), or raise spool.max_bytes"};
  }
  for (const auto& adapter : snapshot.adapters) {
    if (!adapter.healthy)
      return {Level::degraded, adapter.name + ": " + adapter.detail, "bring that side back; trunkline keeps trying"};
  }
  const auto& uplink = *snapshot.uplink;
  if (uplink.connection != Multiplexer::Connection::open) {
    return {Level::degraded,
            "no connection to " + settings.hub.host + (uplink.fault.empty() ? "" : ": " + uplink.fault),
            "check network and hub; messages are kept in the spool meanwhile"};
  }
  const auto count = std::count_if(uplink.devices.begin(), uplink.devices.end(), refused);
  if (count > 0) {
    const auto& first = *std::find_if(uplink.devices.begin(), uplink.devices.end(), refused);
    return {Level::degraded,
            std::to_string(count) + " of " + std::to_string(uplink.devices.size()) + " devices refused, first " +
                first.device.text() + ": " + first.fault,
            "compare its key with the hub's: trunkline identity add " + first.device.text() + " --key-file F"};
  }
  return {Level::ok, {}, {}};
}

std::string to_json(const Snapshot& snapshot, const config::Settings& settings, SteadyTime now, WallTime wall) {
  const auto verdict = judge(snapshot, settings);
  json::object out{{"verdict", to_string(verdict.level)},
                   {"reason", verdict.reason},
                   {"action", verdict.action},
                   {"time", to_rfc3339(wall)},
                   {"version", TRUNKLINE_VERSION}};

  json::object hub{{"host", settings.hub.host}, {"address", settings.hub.address.text()}};
  if (snapshot.uplink) {
    hub["state"] = to_string(snapshot.uplink->connection);
    hub["connections"] = snapshot.uplink->connections;
    hub["fault"] = snapshot.uplink->fault;
    hub["next_try_ms"] = snapshot.uplink->connection == Multiplexer::Connection::waiting
                             ? milliseconds_until(snapshot.uplink->next_try, now)
                             : json::value(nullptr);
  } else {
    hub["state"] = "unknown";
  }
  out["hub"] = std::move(hub);

  json::object safety{{"cap_bytes", settings.spool.max_bytes},
                      {"room_bytes", snapshot.room_bytes},
                      {"used_bytes", snapshot.used_bytes}};
  std::map<std::string_view, std::uint64_t> waiting;
  if (snapshot.store) {
    safety["waiting"] = snapshot.store->depth.messages + snapshot.store->pending;
    safety["waiting_bytes"] = snapshot.store->depth.bytes;
    safety["dead_lettered"] = snapshot.store->depth.dead_letters;
    safety["fault"] = snapshot.store->fault;
    for (const auto& device : snapshot.store->devices) waiting[device.device.text()] = device.messages;
  }
  if (snapshot.uplink) safety["unsettled"] = snapshot.uplink->in_flight;
  out["safety"] = std::move(safety);

  std::map<std::string_view, std::pair<const AdapterStatus*, const AdapterDeviceStatus*>> heard;
  json::array adapters;
  for (const auto& adapter : snapshot.adapters) {
    adapters.push_back({{"name", adapter.name}, {"healthy", adapter.healthy}, {"detail", adapter.detail}});
    for (const auto& device : adapter.devices) heard[device.device] = {&adapter, &device};
  }
  out["adapters"] = std::move(adapters);

  json::array devices;
  if (snapshot.uplink) {
    for (const auto& device : snapshot.uplink->devices) {
      json::object row{{"id", device.device.text()},
                       {"state", std::string(to_string(device.state))},
                       {"presence", device.presence == Presence::reachable ? "reachable" : "away"},
                       {"accepted", device.accepted},
                       {"unsettled", device.in_flight},
                       {"fault", device.fault},
                       {"next_try_ms", milliseconds_until(device.next_try, now)}};
      const auto queue = waiting.find(device.device.text());
      row["waiting"] = queue == waiting.end() ? 0 : queue->second;
      if (const auto found = heard.find(device.device.text()); found != heard.end()) {
        row["adapter"] = found->second.first->name;
        row["peer"] = found->second.second->peer;
        row["last_heard"] =
            found->second.second->last_heard ? json::value(to_rfc3339(*found->second.second->last_heard)) : nullptr;
      }
      devices.push_back(std::move(row));
    }
  }
  out["devices"] = std::move(devices);
  return json::serialize(out);
}

}  // namespace trunkline::app
