// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "config/device_file.h"
#include "config/suggest.h"
#include "gateway/base/json.h"
#include "gateway/mapping/template.h"
#include "gateway/mapping/twin_rules.h"

namespace trunkline::config {
namespace {

constexpr double kLargest = 1e15;

// A JSON pointer (RFC 6901): "" or "/…", with ~ only as ~0 and ~1.
std::optional<std::string> read_pointer(TableReader& reader, std::string_view key) {
  auto found = reader.text(key);
  if (!found) return std::nullopt;
  const auto& text = found->value;
  bool good = text.front() == '/';
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~') good = good && i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1');
  }
  if (good) return text;
  reader.findings().problem(
      found->mark, reader.name_of(key) + " is " + in_quotes(text) + "; write a JSON pointer such as \"/ENERGY/Power\"");
  return std::nullopt;
}

std::optional<std::string> capture_name(const std::string& text) {
  if (text.size() < 3 || text.front() != '{' || text.back() != '}') return std::nullopt;
  return text.substr(1, text.size() - 2);
}

void read_field(const Entry& entry, const std::string& path, Findings& findings, PayloadMap& map) {
  Pick pick;
  pick.name = entry.name;
  if (const auto* text = entry.value.text()) {
    if (const auto capture = capture_name(*text)) {
      pick.from = Pick::From::capture;
      pick.source = *capture;
    } else if (text->starts_with('/')) {
      pick.source = *text;
    } else {
      findings.problem(entry.value.mark, path + " is " + in_quotes(*text) +
                                             "; write a JSON pointer \"/…\", a capture \"{…}\", or { value = \"…\" }");
      return;
    }
    map.fields.push_back(std::move(pick));
    return;
  }
  const auto* table = entry.value.table();
  if (table == nullptr) {
    findings.problem(entry.value.mark, path + " is " + std::string(entry.value.type_name()) +
                                           "; write a JSON pointer in quotes, or { at = \"/…\", factor = 0.1 }");
    return;
  }
  TableReader reader(*table, entry.value.mark, path, findings);
  int sources = 0;
  if (const auto pointer = read_pointer(reader, "at")) {
    pick.source = *pointer;
    ++sources;
  }
  if (const auto capture = reader.text("capture")) {
    pick.from = Pick::From::capture;
    pick.source = capture->value;
    ++sources;
  }
  if (const auto value = reader.text("value")) {
    pick.from = Pick::From::constant;
    pick.source = value->value;
    ++sources;
  }
  pick.number = reader.flag("number").value_or(false);
  pick.factor = reader.number("factor", -kLargest, kLargest).value_or(1);
  pick.offset = reader.number("offset", -kLargest, kLargest).value_or(0);
  reader.finish();
  if (sources != 1) {
    findings.problem(entry.value.mark, path + " needs one of at, capture and value");
    return;
  }
  map.fields.push_back(std::move(pick));
}

std::optional<std::string> read_text_template(TableReader& reader, std::string_view key) {
  auto text = reader.text(key);
  if (!text) return std::nullopt;
  const auto names = Template::names_in(text->value);
  const std::vector<std::string_view> all(names.begin(), names.end());
  if (const auto parsed = Template::parse(text->value, all); !parsed) {
    reader.findings().problem(text->mark, reader.name_of(key) + ": " + parsed.error().message);
    return std::nullopt;
  }
  return text->value;
}

void read_only(TableReader& reader, PayloadMap& map) {
  const auto* entry = reader.table("only");
  if (entry == nullptr) return;
  TableReader only(*entry->value.table(), entry->value.mark, "map.only", reader.findings());
  OnlyIf rule;
  if (only.require("at") != nullptr) rule.pointer = read_pointer(only, "at").value_or("");
  if (only.require("is") != nullptr) {
    for (auto& value : only.texts("is")) rule.values.push_back(std::move(value.value));
  }
  only.finish();
  map.only = std::move(rule);
}

void read_time(TableReader& reader, PayloadMap& map) {
  const auto* entry = reader.table("time");
  if (entry == nullptr) return;
  TableReader time(*entry->value.table(), entry->value.mark, "map.time", reader.findings());
  auto rule = read_time_rule(time);
  if (time.require("at") != nullptr) rule.pointer = read_pointer(time, "at").value_or("");
  time.finish();
  map.time = std::move(rule);
}

void read_report(TableReader& reader, PayloadMap& map) {
  for (auto& name : reader.texts("report")) {
    const auto is = [&name](const Pick& pick) { return pick.name == name.value; };
    if (const auto good = read_properties(json::serialize(json::object{{name.value, 0}})); !good) {
      reader.findings().problem(name.mark, "map.report: " + good.error().message);
    } else if (!map.fields.empty() && std::none_of(map.fields.begin(), map.fields.end(), is)) {
      reader.findings().problem(name.mark, "map.report: " + in_quotes(name.value) + " is none of map.fields");
    } else {
      map.report.push_back(std::move(name.value));
    }
  }
}

}  // namespace

DeviceTime read_time_rule(TableReader& time) {
  DeviceTime rule;
  if (const auto format = time.choice("format", {"iso8601", "unix", "unix_ms"})) {
    rule.format = format->value == "unix"      ? DeviceTime::Format::unix_seconds
                  : format->value == "unix_ms" ? DeviceTime::Format::unix_milliseconds
                                               : DeviceTime::Format::iso8601;
  }
  rule.assume_utc = time.flag("assume_utc").value_or(false);
  return rule;
}

std::shared_ptr<const PayloadMap> read_payload_map(TableReader& device) {
  const auto* entry = device.table("map");
  if (entry == nullptr) return nullptr;
  auto& findings = device.findings();
  TableReader reader(*entry->value.table(), entry->value.mark, "map", findings);
  PayloadMap map;
  map.decode = read_decode(reader);
  read_only(reader, map);
  map.root = read_pointer(reader, "root").value_or("");
  if (const auto* fields = reader.table("fields")) {
    for (const auto& field : fields->value.table()->entries) {
      read_field(field, "map.fields." + field.name, findings, map);
    }
  }
  map.name = read_text_template(reader, "name").value_or("");
  map.number = reader.flag("number").value_or(false);
  map.group = reader.duration("group", Milliseconds(100), Milliseconds(3'600'000)).value_or(Milliseconds(0));
  map.merge = reader.flag("merge").value_or(false);
  map.change_only = reader.flag("change_only").value_or(false);
  map.dead_band = reader.number("dead_band", 0, kLargest).value_or(0);
  map.every = reader.duration("every", Milliseconds(1), Milliseconds(86'400'000)).value_or(Milliseconds(0));
  if (const auto* properties = reader.table("properties")) {
    TableReader inner(*properties->value.table(), properties->value.mark, "map.properties", findings);
    for (const auto& property : properties->value.table()->entries) {
      if (auto text = read_text_template(inner, property.name)) map.properties.push_back({property.name, *text});
    }
  }
  read_time(reader, map);
  read_report(reader, map);
  if (map.dead_band > 0 && !map.change_only) {
    findings.problem(reader.find("dead_band")->mark, "map.dead_band without map.change_only = true has no effect");
  }
  if (!map.name.empty() && (!map.fields.empty() || !map.root.empty() || map.only || map.time)) {
    findings.problem(reader.find("name")->mark,
                     "map.name is for payloads that are one value; remove it, or root, fields, only and time");
  }
  if (map.decode && !map.name.empty()) {
    findings.problem(reader.find("name")->mark,
                     "map.name is for payloads that are one value; map.decode names its own");
  }
  reader.finish();
  return std::make_shared<const PayloadMap>(std::move(map));
}

}  // namespace trunkline::config
