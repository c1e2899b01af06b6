// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/address.h"

#include <algorithm>
#include <vector>

#include "gateway/base/encoding.h"

namespace trunkline::hubsim {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (true) {
    const auto slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == path.npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

Address::Kind device_kind(const std::vector<std::string_view>& rest) {
  if (rest.size() == 1 && same_text(rest[0], "twin")) return Address::Kind::twin;
  if (rest.size() != 2) return Address::Kind::unknown;
  if (same_text(rest[0], "methods") && same_text(rest[1], "devicebound")) return Address::Kind::methods;
  if (!same_text(rest[0], "messages")) return Address::Kind::unknown;
  if (same_text(rest[1], "events")) return Address::Kind::telemetry;
  if (same_text(rest[1], "devicebound")) return Address::Kind::commands;
  return Address::Kind::unknown;
}

}  // namespace

std::string path_of(const std::string& id) {
  const auto slash = id.find('/');
  if (slash == id.npos) return "/devices/" + id;
  return "/devices/" + id.substr(0, slash) + "/modules/" + id.substr(slash + 1);
}

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

Address Address::parse(std::string_view text) {
  Address address;
  if (const auto scheme = text.find("://"); scheme != text.npos && same_text(text.substr(0, 4), "amqp")) {
    const auto path = text.find('/', scheme + 3);
    text = path == text.npos ? std::string_view() : text.substr(path);
  }
  if (text.starts_with('/')) text.remove_prefix(1);
  if (same_text(text, "$cbs")) {
    address.kind = Kind::cbs;
    return address;
  }
  auto segments = split(text);
  if (segments.size() >= 2 && same_text(segments[0], "messages")) {
    if (segments.size() == 2 && same_text(segments[1], "devicebound")) address.kind = Kind::service_commands;
    if (segments.size() == 3 && same_text(segments[1], "serviceBound")) {
      if (same_text(segments[2], "feedback")) address.kind = Kind::service_feedback;
      if (same_text(segments[2], "filenotifications")) address.kind = Kind::service_notifications;
    }
    return address;
  }
  if (segments.size() < 3 || !same_text(segments[0], "devices") || segments[1].empty()) return address;
  address.device = segments[1];
  address.device_decoded = percent_decode(address.device).value_or(address.device);
  segments.erase(segments.begin(), segments.begin() + 2);
  if (segments.size() > 2 && same_text(segments[0], "modules") && !segments[1].empty()) {
    address.module = segments[1];
    address.device += "/" + address.module;
    address.device_decoded += "/" + percent_decode(address.module).value_or(address.module);
    segments.erase(segments.begin(), segments.begin() + 2);
  }
  address.kind = device_kind(segments);
  return address;
}

}  // namespace trunkline::hubsim
