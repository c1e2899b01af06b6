// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/family.h"

#include <algorithm>
#include <unordered_set>

#include "gateway/base/encoding.h"
#include "gateway/mapping/topic_pattern.h"

namespace trunkline {
namespace {

constexpr std::string_view kValue = "value";  // the capture that comes from the payload

bool fits_an_id(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("-.+_#*?!(),=@$':;").find(c) != std::string_view::npos;
}

Result<void> fill_in(std::string& address, const Captures& captures) {
  const auto parsed = TopicPattern::parse(address, captures);
  if (!parsed) return fail(ErrorCode::invalid, "its topic \"" + address + "\" " + parsed.error().message);
  address = parsed->text();
  return {};
}

Result<void> fill_in(std::optional<std::string>& address, const Captures& captures) {
  return address ? fill_in(*address, captures) : Result<void>{};
}

// The captures that lead to this id, if it is a member's.
std::optional<Captures> captures_of(const DeviceFamily& family, const Template& rule, const DeviceId& id) {
  for (const auto& [key, member] : family.lookup) {
    if (member != id) continue;
    const auto names = Template::names_in(family.id);
    if (names.size() == 1) return Captures{{names.front(), key}};
    return rule.match_all(key);
  }
  auto captures = rule.match_all(id.text());
  if (!captures) return std::nullopt;
  for (auto& capture : *captures) {
    auto text = unescape_from_id(capture.value);
    if (!text) return std::nullopt;
    capture.value = std::move(*text);
  }
  // What the table renames is not a member under its old name too.
  const auto key = captures->size() == 1 ? captures->front().value : rule.fill(*captures);
  if (family.lookup.contains(key)) return std::nullopt;
  return captures;
}

}  // namespace

std::string escape_for_id(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (fits_an_id(c)) {
      out += c;
    } else {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::optional<std::string> unescape_from_id(std::string_view text) {
  auto out = percent_decode(text);
  // Two spellings of one topic would be two devices.
  if (!out || escape_for_id(*out) != text) return std::nullopt;
  return *out;
}

Result<DeviceMap> make_member(const DeviceFamily& family, const DeviceId& id) {
  std::vector<std::string_view> names;
  const auto any = Template::names_in(family.id);
  names.assign(any.begin(), any.end());
  const auto rule = Template::parse(family.id, names);
  if (!rule) return fail(rule.error());
  auto captures = captures_of(family, *rule, id);
  if (!captures) return fail(ErrorCode::not_found, "no member");

  auto map = family.prototype;
  map.id = id;
  if (!family.key_pointer.empty()) {
    const auto* value = find_capture(*captures, kValue);
    if (value != nullptr) map.mqtt->key = PayloadKey{family.key_pointer, *value};
  }
  auto values = *captures;
  values.push_back({"device", id.text()});
  for (const auto& [name, value] : *captures) {
    if (value.find_first_of(std::string_view("+#\0", 3)) != std::string::npos || !is_utf8(value)) {
      return fail(ErrorCode::invalid, "{" + name + "} would hold a wildcard");
    }
  }
  auto& mqtt = *map.mqtt;
  for (auto* address : {&mqtt.telemetry}) {
    if (auto done = fill_in(*address, values); !done) return fail(done.error());
  }
  for (auto* list : {&mqtt.more_telemetry, &mqtt.ignore}) {
    for (auto& address : *list) {
      if (auto done = fill_in(address, values); !done) return fail(done.error());
    }
  }
  for (auto* address :
       {&mqtt.command, &mqtt.command_reply, &mqtt.method, &mqtt.method_reply, &mqtt.desired, &mqtt.reported}) {
    if (auto done = fill_in(*address, values); !done) return fail(done.error());
  }
  for (auto* presence : {&mqtt.presence, &mqtt.bridge}) {
    if (!*presence) continue;
    if (auto done = fill_in((*presence)->topic, values); !done) return fail(done.error());
  }
  map.captures = std::move(values);
  return map;
}

Expansion expand_families(std::vector<DeviceMap> devices, const std::vector<DeviceFamily>& families,
                          const std::vector<DeviceId>& identities) {
  Expansion out;
  out.devices = std::move(devices);
  std::unordered_set<std::string> taken;
  for (const auto& device : out.devices) taken.insert(device.id.text());
  for (const auto& family : families) {
    std::size_t members = 0;
    for (const auto& id : identities) {
      if (taken.contains(id.text())) continue;
      auto member = make_member(family, id);
      if (!member) {
        if (member.error().code != ErrorCode::not_found) {
          out.warnings.push_back({family.prototype.place, "identity " + id.text() + " matches this family, but " +
                                                              member.error().message + "; it stays unmapped"});
        }
        continue;
      }
      ++members;
      taken.insert(id.text());
      out.devices.push_back(std::move(*member));
    }
    if (members == 0) {
      out.warnings.push_back(
          {family.prototype.place,
           "no identity matches the id \"" + family.id + "\" of this family; add one with \"trunkline identity add\""});
    }
  }
  return out;
}

}  // namespace trunkline
