// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "config/device_file.h"
#include "config/suggest.h"

namespace trunkline::config {
namespace {

// What each firmware publishes as shipped, written as an operator would write it (user-needs: MQTT conventions). "@" is
// the key `base`. Single values are grouped, deltas are merged; a family's own keys win over these.
struct Preset {
  std::string_view name;
  std::string_view base;  // empty: it has none
  std::string_view text;
};

constexpr std::array<Preset, 5> kPresets{{
    {"tasmota", "", R"(
mqtt.telemetry = ["tele/{topic}/SENSOR", "tele/{topic}/STATE"]
mqtt.presence = { topic = "tele/{topic}/LWT", online = "Online", offline = "Offline" }
mqtt.command = "cmnd/{topic}/{command}"
mqtt.command_reply = "stat/{topic}/RESULT"
)"},
    {"shelly-gen1", "shellies", R"(
mqtt.telemetry = "@/{topic}/{what+}"
mqtt.presence = { topic = "@/{topic}/online", online = "true", offline = "false" }
mqtt.command = "@/{topic}/{what+}/command"
mqtt.ignore = ["@/{topic}/{what+}/command", "@/{topic}/{what+}/set", "@/{topic}/command", "@/{topic}/announce", "@/announce", "@/command"]
command_done = "written"
map = { name = "{what}", number = true, group = "2s" }
)"},
    {"shelly", "", R"(
mqtt.telemetry = "{topic}/events/rpc"
mqtt.presence = { topic = "{topic}/online", online = "true", offline = "false" }
mqtt.command = "{topic}/rpc"
mqtt.command_payload = '{{"id":{id},"src":"trunkline/{topic}","method":"{method}","params":{object}}}'
mqtt.command_reply = "trunkline/{topic}/rpc"
map = { only = { at = "/method", is = ["NotifyStatus", "NotifyFullStatus"] }, root = "/params", merge = true, time = { at = "/params/ts", format = "unix" } }
)"},
    {"zigbee2mqtt", "zigbee2mqtt", R"(
mqtt.telemetry = "@/{name+}"
mqtt.presence = "@/{name+}/availability"
mqtt.bridge = "@/bridge/state"
mqtt.command = "@/{name+}/set"
mqtt.ignore = ["@/bridge/#", "@/{any+}/set", "@/{any+}/get", "@/{any+}/availability"]
command_done = "written"
)"},
    {"esphome", "", R"(
mqtt.telemetry = "{topic}/{component}/{object}/state"
mqtt.presence = "{topic}/status"
mqtt.command = "{topic}/{component}/{object}/command"
command_done = "written"
map = { name = "{object}", number = true, group = "2s" }
)"},
}};

std::string with_base(std::string_view text, std::string_view base) {
  std::string out;
  for (const char c : text) {
    if (c == '@') {
      out += base;
    } else {
      out += c;
    }
  }
  return out;
}

// Everything in a preset stands, for the operator, where the preset was asked for.
void move_to(Node& node, Mark mark) {
  node.mark = mark;
  if (auto* table = std::get_if<Table>(&node.value)) {
    for (auto& entry : table->entries) {
      entry.mark = mark;
      move_to(entry.value, mark);
    }
  } else if (auto* array = std::get_if<Array>(&node.value)) {
    for (auto& item : array->items) move_to(item, mark);
  }
}

// The family's `map` replaces the preset's as a whole; of `mqtt` each key does.
void fill_gaps(Table& into, const Table& preset) {
  for (const auto& entry : preset.entries) {
    Entry* own = nullptr;
    for (auto& candidate : into.entries) {
      if (candidate.name == entry.name) own = &candidate;
    }
    if (own == nullptr) {
      into.entries.push_back(entry);
    } else if (entry.name == "mqtt") {
      auto* own_table = std::get_if<Table>(&own->value.value);
      if (own_table != nullptr && entry.value.table() != nullptr) fill_gaps(*own_table, *entry.value.table());
    }
  }
}

}  // namespace

const Table* with_preset(const Table& family, Findings& findings, std::vector<std::unique_ptr<Table>>& kept) {
  const Entry* preset = nullptr;
  const Entry* base = nullptr;
  for (const auto& entry : family.entries) {
    if (entry.name == "preset") preset = &entry;
    if (entry.name == "base") base = &entry;
  }
  if (preset == nullptr) {
    if (base != nullptr) findings.problem(base->mark, "base goes with a preset; write the topics in full");
    return base == nullptr ? &family : nullptr;
  }
  std::vector<std::string_view> names;
  for (const auto& known : kPresets) names.push_back(known.name);
  const auto* asked = preset->value.text();
  for (const auto& known : kPresets) {
    if (asked == nullptr || *asked != known.name) continue;
    std::string_view start = known.base;
    if (base != nullptr) {
      const auto* text = base->value.text();
      if (known.base.empty() || text == nullptr || text->empty() || text->find_first_of("{}+#\"\\'@\n") != text->npos) {
        findings.problem(base->mark, known.base.empty()
                                         ? "the preset " + in_quotes(known.name) + " has no base"
                                         : std::string("base is the first part of the topics, in quotes"));
        return nullptr;
      }
      start = *text;
    }
    auto document = parse_document("preset " + std::string(known.name), with_base(known.text, start));
    move_to(document.root, preset->mark);
    auto whole = std::make_unique<Table>(family);
    fill_gaps(*whole, *document.root.table());
    kept.push_back(std::move(whole));
    return kept.back().get();
  }
  std::string message =
      "preset is " + (asked == nullptr ? std::string("no text") : in_quotes(*asked)) + "; write one of ";
  for (const auto name : names) message += (name == names.front() ? "" : ", ") + in_quotes(name);
  findings.problem(preset->value.mark, std::move(message));
  return nullptr;
}

}  // namespace trunkline::config
