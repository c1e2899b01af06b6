// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/status.h"

#include <algorithm>
#include <map>
#include <set>

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

// The connection that speaks for all: the first one that is needed and not open.
const Multiplexer::ConnectionStatus* worst(const Multiplexer::Status& uplink) {
  for (const auto& one : uplink.connections) {
    if (one.state != Trunk::State::open && one.state != Trunk::State::closed) return &one;
  }
  return uplink.connections.empty() ? nullptr : &uplink.connections.front();
}

json::value milliseconds_until(SteadyTime then, SteadyTime now) {
  if (then == kNever) return nullptr;
  return std::max<std::int64_t>(0, std::chrono::duration_cast<Milliseconds>(then - now).count());
}

void describe(json::object& hub, const Multiplexer::Status& uplink, SteadyTime now) {
  const auto* one = worst(uplink);
  hub["state"] = std::string(one == nullptr ? "waiting" : to_string(one->state));
  hub["fault"] = one == nullptr ? "" : one->fault;
  hub["next_try_ms"] = one == nullptr ? json::value(nullptr) : milliseconds_until(one->next_try, now);
  std::uint64_t opened = 0;
  std::uint64_t open = 0;
  json::array connections;
  for (const auto& connection : uplink.connections) {
    opened += connection.opened;
    open += connection.state == Trunk::State::open ? 1 : 0;
    connections.push_back({{"state", std::string(to_string(connection.state))},
                           {"opened", connection.opened},
                           {"devices", connection.devices},
                           {"unsettled", connection.in_flight},
                           {"fault", connection.fault},
                           {"next_try_ms", milliseconds_until(connection.next_try, now)}});
  }
  hub["connections"] = open;
  hub["connections_opened"] = opened;
  hub["connection_list"] = std::move(connections);
  hub["throttled"] = uplink.throttled;
  hub["send_rate"] = uplink.send_rate > 0 ? json::value(uplink.send_rate) : json::value(nullptr);
}

// Whole seconds, as far as one can see; nothing for what does not happen.
json::value seconds_at(double bytes, double per_second) {
  constexpr double kFar = 100.0 * 365 * 86'400;
  if (per_second <= 0 || bytes / per_second > kFar) return nullptr;
  return static_cast<std::int64_t>(bytes / per_second);
}

bool in_conflict(const Multiplexer::DeviceStatus& device) {
  return device.fault_kind == LinkFault::Kind::taken_over;
}

// It needs a person, or looks like it.
bool in_trouble(const Multiplexer::DeviceStatus& device) {
  return device.state == SessionState::quarantined || device.state == SessionState::disabled || in_conflict(device);
}

std::string what_of(const Multiplexer::DeviceStatus& device) {
  if (in_conflict(device)) return "in conflict with another client";
  if (device.fault_kind == LinkFault::Kind::timeout) return "stalled";
  return "refused";
}

std::string action_for(const Multiplexer::DeviceStatus& device) {
  const auto& id = device.device.text();
  if (in_conflict(device))
    return "stop the other client that uses the identity of " + id + ", or give one of them another";
  if (device.fault_kind == LinkFault::Kind::timeout) {
    return "the hub takes its messages and never answers; they are kept. Look at the hub's health, or at device " + id +
           " there";
  }
  if (device.fault_kind == LinkFault::Kind::not_found) {
    return "register " + id + " at the hub, enable it there, or take it out of the device maps";
  }
  return "compare its key with the hub's: trunkline identity add " + id + " --key-file F";
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
  if (!snapshot.store->set_aside.empty()) {
    return {
        Level::degraded, "the spool was damaged and is set aside as " + snapshot.store->set_aside,
        "keep that file, messages in it were not sent; look at the disk (dmesg); restart trunkline to end this notice"};
  }
  if (snapshot.used_bytes >= snapshot.room_bytes / 100 * 98) {
    return {Level::degraded, "the spool is full: devices are held back",
            "see why the hub does not take messages (hub and devices below), or raise spool.max_bytes"};
  }
  if (snapshot.used_bytes >= snapshot.room_bytes / 100 * 80) {
    return {
        Level::degraded, "the spool is " + std::to_string(snapshot.used_bytes * 100 / snapshot.room_bytes) + " % full",
        "see why the hub does not take messages (hub and devices below; \"trunkline spool\" says when it is full), or "
        "raise spool.max_bytes"};
  }
  for (const auto& adapter : snapshot.adapters) {
    if (!adapter.healthy)
      return {Level::degraded, adapter.name + ": " + adapter.detail, "bring that side back; trunkline keeps trying"};
  }
  const auto& uplink = *snapshot.uplink;
  if (!uplink.healthy) {
    return {Level::failed, "the hub settles nothing, however often the connection is made anew",
            "check the hub's own health; systemd restarts trunkline, messages are kept in the spool"};
  }
  if (snapshot.clock_behind > std::chrono::minutes(5)) {
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(snapshot.clock_behind).count();
    return {Level::degraded, "this machine's clock is at least " + std::to_string(minutes) + " min behind the hub's",
            "set the clock (timedatectl; chronyc or systemd-timesyncd keep it so): the hub refuses tokens with a wrong "
            "time"};
  }
  if (uplink.devices.empty()) {
    const auto folder = settings.file.substr(0, settings.file.rfind('/') + 1) + "devices.d";
    return {Level::ok, "no devices yet",
            "write a device map into " + folder +
                ", give it its key with \"trunkline identity add ID --key-file F\", then run \"trunkline reload\""};
  }
  if (!uplink.connected()) {
    const auto* one = worst(uplink);
    const std::string which = uplink.connections.size() > 1 ? "one of the connections" : "no connection";
    return {Level::degraded,
            which + " to " + settings.hub.host + (uplink.connections.size() > 1 ? " is not open" : "") +
                (one == nullptr || one->fault.empty() ? "" : ": " + one->fault),
            "check network and hub; messages are kept in the spool meanwhile"};
  }
  if (uplink.throttled) {
    return {
        Level::degraded, "the hub throttles: it takes less than devices send, messages wait in the spool",
        "nothing is lost; if it stays so, raise the hub's units or lower what devices send (see their ACCEPTED below)"};
  }
  const auto bad = std::count_if(uplink.devices.begin(), uplink.devices.end(), in_trouble);
  if (bad > 0) {
    const auto& first = *std::find_if(uplink.devices.begin(), uplink.devices.end(), in_trouble);
    return {Level::degraded,
            std::to_string(bad) + " of " + std::to_string(uplink.devices.size()) + " devices " + what_of(first) +
                ", first " + first.device.text() + ": " + first.fault,
            action_for(first)};
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
    describe(hub, *snapshot.uplink, now);
    hub["clock_behind_ms"] = snapshot.clock_behind.count();
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
    safety["set_aside"] = snapshot.store->set_aside;
    if (snapshot.store->sync_time) safety["sync_time_us"] = snapshot.store->sync_time->count();
    const auto& store = *snapshot.store;
    const auto room = snapshot.room_bytes - std::min(snapshot.room_bytes, snapshot.used_bytes);
    safety["full_in_s"] = seconds_at(static_cast<double>(room), store.inflow);
    safety["drained_in_s"] = store.depth.messages == 0
                                 ? json::value(nullptr)
                                 : seconds_at(static_cast<double>(store.depth.bytes), store.outflow - store.inflow);
    for (const auto& device : snapshot.store->devices) waiting[device.device.text()] = device.messages;
  }
  std::uint64_t kept = 0;
  for (const auto& one : snapshot.commands) kept += one.commands;
  safety["commands_kept"] = kept;
  if (snapshot.uplink) safety["unsettled"] = snapshot.uplink->in_flight;
  out["safety"] = std::move(safety);

  std::map<std::string_view, std::pair<const AdapterStatus*, const AdapterDeviceStatus*>> heard;
  json::array adapters;
  for (const auto& adapter : snapshot.adapters) {
    json::object row{{"name", adapter.name}, {"healthy", adapter.healthy}, {"detail", adapter.detail}};
    if (!adapter.unknown_topics.empty())
      row["unknown_topics"] = json::array(adapter.unknown_topics.begin(), adapter.unknown_topics.end());
    adapters.push_back(std::move(row));
    for (const auto& device : adapter.devices) heard[device.device] = {&adapter, &device};
  }
  out["adapters"] = std::move(adapters);

  std::set<std::string_view> mapped;
  for (const auto& map : settings.devices) mapped.insert(map.id.text());
  json::array devices;
  if (snapshot.uplink) {
    for (std::size_t i = 0; i < snapshot.uplink->devices.size(); ++i) {
      const auto& device = snapshot.uplink->devices[i];
      json::object row{{"id", device.device.text()},
                       {"state", std::string(to_string(device.state))},
                       {"presence", device.presence == Presence::reachable ? "reachable" : "away"},
                       {"accepted", device.accepted},
                       {"unsettled", device.in_flight},
                       {"fault", device.fault},
                       {"key", std::string(to_string(device.key))},
                       {"connection", device.connection ? json::value(*device.connection) : json::value(nullptr)},
                       {"no_credit_ms", device.starved_from == kNever ? json::value(nullptr)
                                                                      : milliseconds_until(now, device.starved_from)},
                       {"next_try_ms", milliseconds_until(device.next_try, now)}};
      // A reload or a restart took its map away; what waits of it is still sent.
      if (!mapped.contains(device.device.text())) row["mapped"] = false;
      const auto queue = waiting.find(device.device.text());
      row["waiting"] = queue == waiting.end() ? 0 : queue->second;
      if (const auto found = heard.find(device.device.text()); found != heard.end()) {
        row["adapter"] = found->second.first->name;
        row["peer"] = found->second.second->peer;
        row["last_heard"] =
            found->second.second->last_heard ? json::value(to_rfc3339(*found->second.second->last_heard)) : nullptr;
        if (!found->second.second->faults.empty()) {
          json::object line;
          for (const auto& [name, count] : found->second.second->faults) line[name] = count;
          row["line"] = std::move(line);
        }
      }
      if (i < snapshot.twins.size() && snapshot.twins[i].kept) {
        const auto& twin = snapshot.twins[i];
        row["twin"] = json::object{{"desired", twin.desired}, {"confirmed", twin.confirmed}, {"fault", twin.fault}};
      }
      if (i < snapshot.commands.size() && (snapshot.commands[i].takes || snapshot.commands[i].commands > 0)) {
        const auto& commands = snapshot.commands[i];
        row["commands"] =
            json::object{{"kept", commands.commands}, {"bytes", commands.bytes}, {"fault", commands.fault}};
      }
      devices.push_back(std::move(row));
    }
  }
  out["devices"] = std::move(devices);
  return json::serialize(out);
}

}  // namespace trunkline::app
