// SPDX-License-Identifier: Apache-2.0
#include "config/device_file.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <unordered_map>
#include <unordered_set>

#include "config/main_file.h"
#include "config/suggest.h"
#include "config/written.h"
#include "gateway/mapping/template.h"

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
        value->mark, reader.name_of(name) + " is " + in_quotes(value->value) + "; write " +
                         (media_type ? "a media type such as \"application/json\"" : "an encoding such as \"utf-8\""));
    return;
  }
  into = std::move(value->value);
}

// C-01: a command needs something that says it was done.
void decide_command_done(TableReader& reader, const Entry* command, bool replies, DeviceDraft& draft) {
  auto done = reader.choice("command_done", {"replied", "acknowledged", "written", "stored"});
  const bool written_wrongly = !done && reader.find("command_done") != nullptr;
  if (!done) {
    // A 2.xx of the device's own server is its word.
    const bool pushed = draft.map.coap && draft.map.coap->push;
    if (pushed && !replies) {
      draft.map.command_done = CommandDone::acknowledged;
      return;
    }
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
  if (done->value == "stored") {
    // The service hears "done" when the command is in our care; this is what ends that.
    draft.map.keeps_commands = true;
    const bool tells = draft.map.mqtt || (draft.map.coap && draft.map.coap->push);
    draft.map.command_done = replies ? CommandDone::replied : tells ? CommandDone::acknowledged : CommandDone::written;
  } else if (done->value == "replied") {
    draft.map.command_done = CommandDone::replied;
    if (!replies) {
      reader.findings().problem(done->mark, std::string("command_done = \"replied\", but no reply is mapped; add ") +
                                                (draft.map.mqtt   ? "mqtt.command_reply"
                                                 : draft.map.coap ? "coap.result"
                                                                  : "a reply to tcp.command"));
    }
  } else if (done->value == "acknowledged") {
    draft.map.command_done = CommandDone::acknowledged;
    if (draft.map.coap && !draft.map.coap->push) {
      reader.findings().problem(done->mark,
                                "CoAP does not tell us that a device acknowledged a command; write \"replied\" with "
                                "coap.result, or \"written\"");
    } else if (draft.map.tcp && !replies) {
      reader.findings().problem(done->mark,
                                "TCP does not tell that a device took a line; add a reply to tcp.command, or write "
                                "command_done = \"written\"");
    }
  } else {
    draft.map.command_done = CommandDone::written;
  }
}

// Queue mode's limits.
void read_kept(TableReader& reader, DeviceMap& map) {
  if (auto most = reader.integer("max_commands", 1, 10'000)) map.max_commands = static_cast<std::size_t>(*most);
  if (auto most = reader.size("max_command_bytes", 1024, 1ULL << 30)) map.max_command_bytes = *most;
  if (auto most = reader.duration("command_keep", Milliseconds(1000), std::chrono::hours(24 * 30))) {
    map.command_keep = *most;
  }
  for (const auto key : {"max_commands", "max_command_bytes", "command_keep"}) {
    const auto* entry = reader.find(key);
    if (entry == nullptr || map.keeps_commands) continue;
    reader.findings().warning(entry->mark, std::string(key) + " has no effect without command_done = \"stored\"");
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
      if (entry.name == "command" || entry.name == "push") command = &entry;
      if (entry.name == "piggyback" && draft.map.coap && draft.map.coap->piggyback) command = &entry;
      // A reply that is there but wrong is reported once, where it stands.
      if (entry.name == "command_reply" || entry.name == "result") replies = true;
    }
  }
  decide_command_done(reader, command, replies, draft);
  read_kept(reader, draft.map);
}

// What [[device]] and [[family]] have in common; the id has been read.
void read_map(TableReader& reader, References main, DeviceDraft& draft) {
  read_symbol(reader, "content_type", true, draft.map.content_type);
  read_symbol(reader, "content_encoding", false, draft.map.content_encoding);
  draft.map.expect_every = reader.duration("expect_every", Milliseconds(1000), std::chrono::hours(24 * 30));
  if (auto most = reader.integer("in_flight", 1, 1000)) draft.map.in_flight = static_cast<unsigned>(*most);
  if (auto most = reader.duration("command_timeout", Milliseconds(1000), Milliseconds(50'000))) {
    draft.map.command_timeout = *most;
  }
  if (auto most = reader.duration("method_timeout", Milliseconds(1000), Milliseconds(300'000))) {
    draft.map.method_timeout = *most;
  }
  if (auto rank = reader.choice("priority", {"alarm", "normal", "bulk"})) {
    draft.map.priority = rank->value == "alarm"  ? Priority::alarm
                         : rank->value == "bulk" ? Priority::bulk
                                                 : Priority::normal;
  }
  read_limits(reader, draft.map);
  draft.map.shape = read_payload_map(reader);
  draft.samples = read_samples(reader);
  const auto before = reader.findings().problems.size();
  read_protocol(reader, main, draft);
  reader.not_yet({"order"});
  reader.finish();
  if (reader.findings().problems.size() == before) run_samples(draft, reader.findings());
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
  DeviceDraft draft{DeviceMap{*id, findings.place(mark)}, named, {}, {}, {}, {}, false, {}, {}, {}, {}, {}};
  if (named) {
    draft.claims.push_back({"id " + id->text(), "the device id " + in_quotes(id->text()), "give each id once",
                            findings.place(text->mark)});
    draft.map.captures = {{"device", id->text()}};
  }
  if (const auto* preset = reader.find("preset")) {
    findings.problem(preset->mark, "preset belongs to a [[family]]; write [[family]] with id = \"<template>\"");
  }
  draft.map.written = written_of(table);
  read_map(reader, main, draft);
  drafts.push_back(std::move(draft));
}

// The template of the members' ids: every name in it is a capture of the family's topics, or {value}.
void read_id_rule(TableReader& reader, DeviceDraft& draft) {
  const auto text = reader.required_text("id");
  if (!text) return;
  draft.later = Template::names_in(text->value);
  const std::vector<std::string_view> names(draft.later.begin(), draft.later.end());
  if (const auto parsed = Template::parse(text->value, names); !parsed) {
    reader.findings().problem(text->mark, "id: " + parsed.error().message);
  } else if (names.empty()) {
    reader.findings().problem(text->mark,
                              "the id of a family holds what tells its devices apart, such as "
                              "\"plug-{topic}\"; for one device write [[device]]");
  } else {
    draft.id_rule = text->value;
    draft.named = true;
  }
}

void read_lookup(TableReader& reader, DeviceDraft& draft) {
  const auto* entry = reader.table("lookup");
  if (entry == nullptr) return;
  for (const auto& row : entry->value.table()->entries) {
    const auto* text = row.value.text();
    const auto id = DeviceId::parse(text == nullptr ? std::string_view() : std::string_view(*text));
    if (!id) {
      reader.findings().problem(row.value.mark, "lookup." + row.name + ": write the device's id at the hub, in quotes");
    } else {
      draft.lookup.emplace(row.name, *id);
    }
  }
}

// Every name in the id must come from somewhere.
void check_sources(const DeviceDraft& draft, Mark mark, Findings& findings) {
  if (!draft.map.mqtt || !draft.named) return;
  for (const auto& name : draft.later) {
    const bool in_topic = std::any_of(draft.topics.begin(), draft.topics.end(), [&](const UsedTopic& used) {
      const auto text = used.pattern.text();
      return text.find("{" + name + "}") != std::string::npos || text.find("{" + name + "+}") != std::string::npos;
    });
    const bool in_payload = name == "value" && !draft.key_pointer.empty();
    if (!in_topic && !in_payload) {
      findings.problem(mark, "the id of this family has {" + name + "}, which none of its topics has" +
                                 (name == "value" ? "; or say mqtt.id_from = \"/…\"" : ""));
    }
  }
  if (!draft.key_pointer.empty() && std::find(draft.later.begin(), draft.later.end(), "value") == draft.later.end()) {
    findings.problem(mark, "mqtt.id_from without {value} in the id of the family");
  }
}

void read_family(const Table& table, Mark mark, References main, Findings& findings, std::vector<DeviceDraft>& drafts,
                 std::vector<std::unique_ptr<Table>>& kept) {
  const auto* whole = with_preset(table, findings, kept);
  if (whole == nullptr) return;
  TableReader reader(*whole, mark, "", findings);
  DeviceDraft draft{
      DeviceMap{*DeviceId::parse("family"), findings.place(mark)}, false, {}, {}, {}, {}, true, {}, {}, {}, {}, {}};
  static_cast<void>(reader.find("preset"));
  static_cast<void>(reader.find("base"));
  read_id_rule(reader, draft);
  read_lookup(reader, draft);
  for (const auto protocol : {"coap", "tcp"}) {
    if (const auto* entry = reader.find(protocol)) {
      findings.problem(entry->mark, "a family speaks MQTT in this version; write one [[device]] each");
      return;
    }
  }
  draft.map.written = written_of(*whole);
  read_map(reader, main, draft);
  check_sources(draft, mark, findings);
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
  std::vector<std::unique_ptr<Table>> kept;
  if (const auto* entry = root.find("family")) {
    const auto* array = entry->value.array();
    if (array == nullptr) findings.problem(entry->mark, "a family starts with [[family]], in double brackets");
    for (const auto& item : array == nullptr ? std::vector<Node>() : array->items) {
      if (const auto* table = item.table()) {
        read_family(*table, item.mark, main, findings, drafts, kept);
      } else {
        findings.problem(item.mark, "a family is a table; write [[family]] on a line of its own");
      }
    }
  }
  for (const auto name : {"hub", "identity", "spool", "status", "mqtt", "coap", "log"}) {
    if (const auto* entry = root.find(name)) {
      findings.problem(entry->mark, std::string(name) + " belongs in trunkline.toml (or under a [[device]]); move it");
    }
  }
  root.finish();
}

namespace {

// Where two maps may both hear a topic, the more specific one gets it; an operator should know.
void check_overlaps(const std::vector<DeviceDraft>& drafts, std::vector<Problem>& warnings) {
  constexpr std::size_t kMost = 20;
  std::vector<std::pair<std::size_t, const UsedTopic*>> wide;
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    for (const auto& topic : drafts[i].topics) {
      if (!topic.pattern.is_exact()) wide.emplace_back(i, &topic);
    }
  }
  std::size_t said = 0;
  for (const auto& [owner, one] : wide) {
    for (std::size_t i = 0; i < drafts.size() && said < kMost; ++i) {
      if (i == owner) continue;
      for (const auto& other : drafts[i].topics) {
        // Two wide ones meet twice; said once.
        if (!other.pattern.is_exact() && i < owner) continue;
        if (other.broker != one->broker || !other.pattern.overlaps(one->pattern)) continue;
        ++said;
        warnings.push_back({other.place, "the topic " + in_quotes(other.pattern.text()) + " overlaps " +
                                             in_quotes(one->pattern.text()) + " at " + place_text(one->place) +
                                             "; where both match, the more specific one gets the message"});
        break;
      }
    }
  }
}

}  // namespace

void check_devices(const std::vector<DeviceDraft>& drafts, References main, std::vector<Problem>& problems,
                   std::vector<Problem>& warnings) {
  check_overlaps(drafts, warnings);
  check_tcp_lines(drafts, problems, warnings);
  std::unordered_set<std::string> shared;
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
    // The first one of those who share it stands for all.
    const bool shares = draft.map.tcp->line.identify.by != TcpIdentify::By::sole;
    if (shares && !shared.insert(draft.map.tcp->listen).second) continue;
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
