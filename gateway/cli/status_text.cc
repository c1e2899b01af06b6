// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/status_text.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "gateway/cli/text_table.h"

namespace trunkline::cli {
namespace {

// A member as text; empty if it is missing, null or of another kind.
std::string text(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (value->is_string()) return plain(std::string_view(value->as_string()));
  if (value->is_bool()) return value->as_bool() ? "yes" : "no";
  if (value->is_int64() || value->is_uint64()) return json::serialize(*value);
  return {};
}

std::uint64_t number(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->as_uint64();
  if (value->is_int64() && value->as_int64() > 0) return static_cast<std::uint64_t>(value->as_int64());
  return 0;
}

const json::object* object(const json::object& parent, std::string_view name) {
  const auto* value = parent.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

std::string seconds_text(const json::object& from, std::string_view name) {
  if (text(from, name).empty()) return {};
  return std::to_string((number(from, name) + 999) / 1000) + " s";
}

std::string members_text(const json::object& object) {
  std::string out;
  for (const auto& member : object) {
    const std::string name(member.key());
    if (const auto value = text(object, name); !value.empty())
      out += (out.empty() ? "" : ", ") + plain(name) + " " + value;
  }
  return out;
}

// What nobody calls a fault, but looks like one: a device from which nothing of use ever came.
std::string doubt_text(const json::object& device) {
  const auto topic = text(device, "peer");
  if (text(device, "adapter").starts_with("mqtt") && text(device, "last_heard").empty() && !topic.empty()) {
    return "nothing heard on " + topic + " yet: does it publish there?";
  }
  const auto* damage = object(device, "line");
  if (damage == nullptr || number(device, "accepted") > 0 || number(device, "waiting") > 0) return {};
  return "nothing but damage (" + members_text(*damage) + "): compare tcp.framing with what it sends";
}

std::string hub_text(const json::object& hub) {
  auto line = "hub      " + text(hub, "state");
  if (const auto host = text(hub, "host"); !host.empty()) line += " " + host;
  if (const auto since = text(hub, "since"); !since.empty()) line += " since " + since;
  if (const auto connections = text(hub, "connections"); !connections.empty()) {
    line += ", connections open " + connections;
  }
  if (const auto next = seconds_text(hub, "next_try_ms"); !next.empty()) line += ", next try in " + next;
  if (const auto fault = text(hub, "fault"); !fault.empty()) line += "; " + fault;
  return line + "\n";
}

std::string safety_text(const json::object& safety) {
  auto line = "safety   " + std::to_string(number(safety, "waiting")) + " waiting (" +
              size_text(static_cast<double>(number(safety, "waiting_bytes"))) + " of " +
              size_text(static_cast<double>(number(safety, "cap_bytes"))) + "), " +
              std::to_string(number(safety, "unsettled")) + " unsettled, " +
              std::to_string(number(safety, "dead_lettered")) + " dead-lettered";
  if (const auto kept = number(safety, "commands_kept"); kept > 0)
    line += ", " + std::to_string(kept) + " commands kept";
  if (!text(safety, "full_in_s").empty()) {
    line += "; full in " + time_text(static_cast<double>(number(safety, "full_in_s"))) + " without the hub";
  }
  if (!text(safety, "drained_in_s").empty()) {
    line += "; drained in " + time_text(static_cast<double>(number(safety, "drained_in_s")));
  }
  if (const auto fault = text(safety, "fault"); !fault.empty()) line += "; " + fault;
  return line + "\n";
}

// Where somebody speaks whom no map knows: the first few.
std::string unknown_topics_text(const json::object& adapter) {
  constexpr std::size_t kShown = 3;
  const auto* topics = adapter.if_contains("unknown_topics");
  if (topics == nullptr || !topics->is_array() || topics->as_array().empty()) return {};
  const bool tcp = text(adapter, "name") == "tcp";
  std::string out = tcp ? "         nobody known: " : "         nobody's topics: ";
  std::size_t shown = 0;
  for (const auto& topic : topics->as_array()) {
    if (shown == kShown) break;
    if (!topic.is_string()) continue;
    out += (shown++ == 0 ? "" : ", ") + plain(std::string_view(topic.as_string()));
  }
  if (topics->as_array().size() > kShown) out += ", and more (--json)";
  return out + (tcp ? "; give each a map with tcp.identify\n" : "; map them, or name them in mqtt.ignore\n");
}

std::string adapters_text(const json::object& status) {
  const auto* adapters = status.if_contains("adapters");
  if (adapters == nullptr || !adapters->is_array()) return {};
  std::string out;
  for (const auto& entry : adapters->as_array()) {
    const auto* adapter = entry.if_object();
    if (adapter == nullptr) continue;
    out += "adapter  " + text(*adapter, "name") + (text(*adapter, "healthy") == "yes" ? " works" : " does not work");
    if (const auto detail = text(*adapter, "detail"); !detail.empty()) out += ": " + detail;
    out += '\n' + unknown_topics_text(*adapter);
  }
  return out;
}

// The verdict, and what holds of the gateway as a whole.
std::string head_text(const json::object& status) {
  std::string out = text(status, "verdict");
  if (const auto reason = text(status, "reason"); !reason.empty()) out += ": " + reason;
  if (const auto action = text(status, "action"); !action.empty()) out += " -> " + action;
  out += "\n";
  if (const auto* hub = object(status, "hub")) out += hub_text(*hub);
  if (const auto* safety = object(status, "safety")) out += safety_text(*safety);
  return out + adapters_text(status);
}

std::map<std::string, std::uint64_t> accepted_of(const json::object& status) {
  std::map<std::string, std::uint64_t> out;
  const auto* devices = status.if_contains("devices");
  if (devices == nullptr || !devices->is_array()) return out;
  for (const auto& entry : devices->as_array()) {
    if (const auto* device = entry.if_object()) out[text(*device, "id")] = number(*device, "accepted");
  }
  return out;
}

}  // namespace

std::string status_text(const json::object& status) {
  return head_text(status) + devices_text(status);
}

std::string devices_text(const json::object& status) {
  const auto* devices = status.if_contains("devices");
  if (devices == nullptr || !devices->is_array()) return {};
  TextTable table({"DEVICE", "ADAPTER", "PRESENCE", "STATE", "WAITING", "ACCEPTED", "LAST HEARD", "FAULT"});
  for (const auto& entry : devices->as_array()) {
    const auto* device = entry.if_object();
    if (device == nullptr) continue;
    auto fault = text(*device, "fault");
    if (const auto next = seconds_text(*device, "next_try_ms"); !next.empty()) {
      fault += (fault.empty() ? "next try in " : "; next try in ") + next;
    }
    const auto heard = text(*device, "last_heard");
    if (fault.empty()) fault = doubt_text(*device);
    table.add({text(*device, "id"), text(*device, "adapter"), text(*device, "presence"), text(*device, "state"),
               text(*device, "waiting"), text(*device, "accepted"), heard.empty() ? "never" : heard, fault});
  }
  return table.empty() ? "no devices\n" : table.text();
}

std::string device_text(const json::object& device) {
  std::string out;
  for (const auto& member : device) {
    const std::string name(member.key());
    auto value = text(device, name);
    if (const auto* inner = member.value().if_object()) value = members_text(*inner);
    if (!value.empty()) out += name + std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') + value + "\n";
  }
  return out;
}

std::string top_text(const json::object& status, const json::object& before, double seconds) {
  constexpr std::size_t kRows = 30;
  struct Row {
    std::string id, state, fault;
    double rate = 0;
    std::uint64_t waiting = 0, unsettled = 0;
  };
  const auto earlier = accepted_of(before);
  std::vector<Row> rows;
  double total = 0;
  if (const auto* devices = status.if_contains("devices"); devices != nullptr && devices->is_array()) {
    for (const auto& entry : devices->as_array()) {
      const auto* device = entry.if_object();
      if (device == nullptr) continue;
      Row row{text(*device, "id"),        text(*device, "state"),      text(*device, "fault"), 0,
              number(*device, "waiting"), number(*device, "unsettled")};
      const auto found = earlier.find(row.id);
      const auto accepted = number(*device, "accepted");
      // A restart in between begins at zero again.
      if (seconds > 0 && found != earlier.end() && accepted >= found->second) {
        row.rate = static_cast<double>(accepted - found->second) / seconds;
      }
      total += row.rate;
      rows.push_back(std::move(row));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.rate != b.rate ? a.rate > b.rate : a.waiting > b.waiting;
  });
  const auto rate = [](double value) {
    std::array<char, 32> out{};
    std::snprintf(out.data(), out.size(), "%.1f", value);
    return std::string(out.data());
  };
  TextTable table({"DEVICE", "MSG/S", "WAITING", "UNSETTLED", "STATE", "FAULT"});
  for (std::size_t i = 0; i < std::min(rows.size(), kRows); ++i) {
    const auto& row = rows[i];
    table.add(
        {row.id, rate(row.rate), std::to_string(row.waiting), std::to_string(row.unsettled), row.state, row.fault});
  }
  return head_text(status) + (seconds > 0 ? "rate     " + rate(total) + " messages a second accepted\n" : "") +
         (table.empty() ? std::string() : table.text()) +
         (rows.size() > kRows ? "and " + std::to_string(rows.size() - kRows) + " more\n" : "");
}

}  // namespace trunkline::cli
