// SPDX-License-Identifier: Apache-2.0
#include "config/device_file.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <unordered_map>

#include "config/main_file.h"
#include "config/suggest.h"

namespace trunkline::config {
namespace {

// Printable ASCII of a bounded length goes into AMQP symbols unchanged.
void read_symbol(TableReader& reader, std::string_view name, bool media_type, std::string& into) {
  auto value = reader.text(name);
  if (!value) return;
  const bool printable =
      std::all_of(value->value.begin(), value->value.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  if (!printable || value->value.size() > 128 || (media_type && value->value.find('/') == std::string::npos)) {
    reader.findings().problem(
        value->mark, reader.name_of(name) + " is " + quoted(value->value) + "; write " +
                         (media_type ? "a media type such as \"application/json\"" : "an encoding such as \"utf-8\""));
    return;
  }
  into = std::move(value->value);
}

// C-01: a command needs something that says it was done.
void decide_command_done(TableReader& reader, const Entry* command, bool replies, DeviceDraft& draft) {
  auto done = reader.choice("command_done", {"replied", "acknowledged", "written", "stored"});
  const bool written_wrongly = !done && reader.find("command_done") != nullptr;
  if (done && done->value == "stored") {
    reader.findings().problem(done->mark,
                              "command_done = \"stored\" is not supported yet in this version; write "
                              "\"replied\", \"acknowledged\" or \"written\"");
    return;
  }
  if (!done) {
    if (command != nullptr && !replies && !written_wrongly) {
      const std::string wanted = draft.map.mqtt   ? "mqtt.command_reply"
                                 : draft.map.coap ? "coap.result"
                                                  : "a reply in tcp.command";
      reader.findings().problem(command->mark,
                                "nothing says when this command is done; add " + wanted + ", or say command_done = " +
                                    (draft.map.mqtt ? "\"acknowledged\" (the broker took it)" : "\"written\""));
    }
    return;
  }
  if (command == nullptr) {
    reader.findings().warning(done->mark, "command_done has no effect: this device takes no command");
    return;
  }
  if (done->value == "replied") {
    draft.map.command_done = CommandDone::replied;
    if (!replies) {
      reader.findings().problem(done->mark, std::string("command_done = \"replied\", but no reply is mapped; add ") +
                                                (draft.map.mqtt   ? "mqtt.command_reply"
                                                 : draft.map.coap ? "coap.result"
                                                                  : "a reply to tcp.command"));
    }
  } else if (done->value == "acknowledged") {
    draft.map.command_done = CommandDone::acknowledged;
    if (draft.map.coap) {
      reader.findings().problem(done->mark,
                                "command_done = \"acknowledged\" is not supported yet for CoAP in this "
                                "version; write \"replied\" with coap.result, or \"written\"");
    } else if (draft.map.tcp && !replies) {
      reader.findings().problem(done->mark,
                                "TCP does not tell that a device took a line; add a reply to tcp.command, or write "
                                "command_done = \"written\"");
    }
  } else {
    draft.map.command_done = CommandDone::written;
  }
}

void read_limits(TableReader& reader, DeviceMap& map) {
  map.max_bytes = reader.size("max_bytes", 1024, 1ULL << 40);
  if (auto most = reader.integer("max_messages", 1, 1'000'000'000))
    map.max_messages = static_cast<std::uint64_t>(*most);
  map.max_age = reader.duration("max_age", kShortestAge, kLongestAge);
  if (auto full = reader.choice("on_full", {"refuse", "drop_newest", "drop_oldest"})) {
    map.on_full = full->value == "refuse"        ? OnFull::refuse
                  : full->value == "drop_newest" ? OnFull::drop_newest
                                                 : OnFull::drop_oldest;
  }
}

void read_protocol(TableReader& reader, References main, DeviceDraft& draft) {
  constexpr std::array<std::string_view, 3> kProtocols = {"mqtt", "coap", "tcp"};
  const Entry* first = nullptr;
  bool any = false;
  for (const auto protocol : kProtocols) {
    any = reader.find(protocol) != nullptr || any;
    const auto* entry = reader.table(protocol);
    if (entry == nullptr) continue;
    if (first != nullptr) {
      reader.findings().problem(entry->mark, "a second protocol in one device map: " + std::string(protocol) +
                                                 " after " + first->name + "; give each its own [[device]]");
      continue;
    }
    first = entry;
  }
  if (!any) {
    reader.findings().problem(
        reader.mark(), "this device has no protocol; add mqtt.telemetry = …, coap.telemetry = … or tcp.listen = …");
  }
  const Entry* command = nullptr;
  bool replies = false;
  if (first != nullptr) {
    if (first->name == "mqtt") {
      read_mqtt_map(*first, reader, main, reader.findings(), draft);
      replies = draft.map.mqtt->command_reply.has_value();
    } else if (first->name == "coap") {
      read_coap_map(*first, reader, main, reader.findings(), draft);
      replies = draft.map.coap->result.has_value();
    } else {
      read_tcp_map(*first, reader, reader.findings(), draft);
      replies = draft.map.tcp->command && draft.map.tcp->command->reply;
    }
    for (const auto& entry : first->value.table()->entries) {
      if (entry.name == "command") command = &entry;
      // A reply that is there but wrong is reported once, where it stands.
      if (entry.name == "command_reply" || entry.name == "result") replies = true;
    }
  }
  decide_command_done(reader, command, replies, draft);
}

void read_device(const Table& table, Mark mark, References main, Findings& findings, std::vector<DeviceDraft>& drafts) {
  TableReader reader(table, mark, "", findings);
  auto id = DeviceId::parse("unnamed");
  const auto text = reader.find("id") == nullptr ? std::nullopt : reader.text("id");
  bool named = false;
  if (text) {
    if (auto parsed = DeviceId::parse(text->value)) {
      id = std::move(parsed);
      named = true;
    } else {
      findings.problem(text->mark, parsed.error().message + "; write it as it is registered at the hub");
    }
  } else if (reader.find("id") == nullptr) {
    findings.problem(mark, "id is missing; add id = \"<the device's id at the hub>\" to this [[device]]");
  }
  DeviceDraft draft{DeviceMap{*id, findings.place(mark)}, named, {}, {}, {}};
  if (named) {
    draft.claims.push_back(
        {"id " + id->text(), "the device id " + quoted(id->text()), "give each id once", findings.place(text->mark)});
  }
  read_symbol(reader, "content_type", true, draft.map.content_type);
  read_symbol(reader, "content_encoding", false, draft.map.content_encoding);
  draft.map.expect_every = reader.duration("expect_every", Milliseconds(1000), std::chrono::hours(24 * 30));
  if (auto most = reader.integer("in_flight", 1, 1000)) draft.map.in_flight = static_cast<unsigned>(*most);
  if (auto rank = reader.choice("priority", {"alarm", "normal", "bulk"})) {
    draft.map.priority = rank->value == "alarm"  ? Priority::alarm
                         : rank->value == "bulk" ? Priority::bulk
                                                 : Priority::normal;
  }
  read_limits(reader, draft.map);
  read_protocol(reader, main, draft);
  reader.not_yet({"order", "preset"});
  reader.finish();
  drafts.push_back(std::move(draft));
}

}  // namespace

void read_device_file(const Document& document, References main, Findings& findings, std::vector<DeviceDraft>& drafts) {
  TableReader root(*document.root.table(), {1, 1}, "", findings);
  if (const auto* entry = root.find("device")) {
    const auto* array = entry->value.array();
    if (array == nullptr) {
      findings.problem(entry->mark, "a device map starts with [[device]], in double brackets");
    } else {
      for (const auto& item : array->items) {
        if (const auto* table = item.table()) {
          read_device(*table, item.mark, main, findings, drafts);
        } else {
          findings.problem(item.mark, "a device map is a table; write [[device]] on a line of its own");
        }
      }
    }
  }
  if (const auto* entry = root.find("family")) {
    findings.problem(entry->mark, "[[family]] is not supported yet in this version; write one [[device]] each");
  }
  for (const auto name : {"hub", "identity", "spool", "status", "mqtt", "coap", "log"}) {
    if (const auto* entry = root.find(name)) {
      findings.problem(entry->mark, std::string(name) + " belongs in trunkline.toml (or under a [[device]]); move it");
    }
  }
  root.finish();
}

void check_devices(const std::vector<DeviceDraft>& drafts, References main, std::vector<Problem>& problems) {
  std::unordered_map<std::string, const Claim*> taken;
  std::unordered_multimap<std::uint16_t, std::pair<ListenAddress, SourcePlace>> listeners;
  if (main != nullptr && main->status_listen) {
    listeners.emplace(main->status_listen->port, std::pair(*main->status_listen, main->status_place));
  }
  for (const auto& draft : drafts) {
    for (const auto& claim : draft.claims) {
      const auto [found, fresh] = taken.emplace(claim.key, &claim);
      if (fresh) continue;
      problems.push_back(
          {claim.place, claim.what + " is used already at " + place_text(found->second->place) + "; " + claim.advice});
    }
    if (!draft.listener) continue;
    const auto [from, to] = listeners.equal_range(draft.listener->port);
    const auto other =
        std::find_if(from, to, [&](const auto& entry) { return entry.second.first.clashes(*draft.listener); });
    if (other != to) {
      const auto& place = other->second.second;
      problems.push_back({draft.listener_place,
                          "tcp.listen " + draft.listener->text() + " collides with " + other->second.first.text() +
                              (place.file.empty() ? std::string(" of status.listen") : " at " + place_text(place)) +
                              "; give each device its own port"});
    } else {
      listeners.emplace(draft.listener->port, std::pair(*draft.listener, draft.listener_place));
    }
  }
}

}  // namespace trunkline::config
