// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/directory.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "tests/hubsim/address.h"
#include "tests/hubsim/etag.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxTokenBytes = 4096;
constexpr std::string_view kScheme = "SharedAccessSignature ";

tl::unexpected<Refusal> refuse(int status, std::string text) {
  return tl::make_unexpected(Refusal{status, std::move(text)});
}

// The fields as they stand in the token; only sig, se and skn are decoded.
struct TokenFields {
  std::string_view sr;
  std::string_view se;
  std::string sig;
  std::string skn;
};

std::optional<TokenFields> parse(std::string_view token) {
  if (token.size() > kMaxTokenBytes || !token.starts_with(kScheme)) return std::nullopt;
  token.remove_prefix(kScheme.size());
  TokenFields fields;
  while (!token.empty()) {
    const auto end = token.find('&');
    const auto field = token.substr(0, end);
    token = end == token.npos ? std::string_view() : token.substr(end + 1);
    const auto equals = field.find('=');
    if (equals == field.npos) return std::nullopt;
    const auto name = field.substr(0, equals);
    const auto value = field.substr(equals + 1);
    if (name == "sr") {
      fields.sr = value;
    } else if (name == "se") {
      fields.se = value;
    } else if (name == "sig" || name == "skn") {
      const auto decoded = percent_decode(value);
      if (!decoded) return std::nullopt;
      (name == "sig" ? fields.sig : fields.skn) = *decoded;
    }
  }
  if (fields.sr.empty() || fields.se.empty() || fields.sig.empty()) return std::nullopt;
  return fields;
}

bool signed_with(const Secret& key, const TokenFields& fields) {
  if (key.empty()) return false;
  const auto bytes = base64_decode(key.reveal());
  const auto signature = base64_decode(fields.sig);
  if (!bytes || !signature) return false;
  const auto text = std::string(fields.sr) + "\n" + std::string(fields.se);
  return Secret(hmac_sha256(*bytes, text)) == Secret(*signature);
}

// The id of "/devices/{id}" or "/devices/{id}/modules/{id}"; empty for any other path.
std::string device_of(std::string_view path) {
  constexpr std::string_view prefix = "/devices/";
  constexpr std::string_view modules = "modules/";
  if (!same_text(path.substr(0, prefix.size()), prefix)) return {};
  path.remove_prefix(prefix.size());
  const auto slash = path.find('/');
  if (slash == path.npos) return std::string(path);
  const auto rest = path.substr(slash + 1);
  if (!same_text(rest.substr(0, modules.size()), modules)) return {};
  const auto module = rest.substr(modules.size());
  if (slash == 0 || module.empty() || module.find('/') != module.npos) return {};
  return std::string(path.substr(0, slash)) + "/" + std::string(module);
}

bool good_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && id.find('/') == id.npos;
}

// The official service SDK signs "host:port" when it was given a port, which a hub of a test always has.
std::string_view without_port(std::string_view host) {
  const auto colon = host.rfind(':');
  if (colon == host.npos || colon + 1 == host.size()) return host;
  const auto port = host.substr(colon + 1);
  return port.find_first_not_of("0123456789") == port.npos ? host.substr(0, colon) : host;
}

// The default policies of a hub; one of another name may do everything.
struct Permissions {
  bool device;
  bool service;
  bool registry_read;
  bool registry_write;
};
Permissions permissions_of(std::string_view policy) {
  if (policy == "service") return {false, true, false, false};
  if (policy == "device") return {true, false, false, false};
  if (policy == "registryRead") return {false, false, true, false};
  if (policy == "registryReadWrite") return {false, false, true, true};
  return {true, true, true, true};
}

}  // namespace

bool Grant::covers(std::string_view resource) const {
  const auto first = std::min(path.find('/', 1), path.size());
  return resource.size() >= path.size() &&
         same_text(resource.substr(0, first), std::string_view(path).substr(0, first)) &&
         resource.substr(first, path.size() - first) == std::string_view(path).substr(first) &&
         (resource.size() == path.size() || resource[path.size()] == '/');
}

Result<void> Directory::add_device(const std::string& id, const std::string& primary, const std::string& secondary) {
  const auto slash = id.find('/');
  if (!good_id(id.substr(0, slash)) || (slash != id.npos && !good_id(id.substr(slash + 1)))) {
    return fail(ErrorCode::invalid, "bad device id");
  }
  if (slash != id.npos && !knows(id.substr(0, slash))) return fail(ErrorCode::not_found, "no device for module " + id);
  for (const auto& key : {primary, secondary}) {
    if (!base64_decode(key)) return fail(ErrorCode::invalid, "the key of " + id + " is not base64");
  }
  if (primary.empty()) return fail(ErrorCode::invalid, "no key for " + id);
  auto& record = devices_[id];
  record.primary = Secret(primary);
  record.secondary = Secret(secondary);
  record.enabled = true;
  if (record.generation.empty()) record.generation = std::to_string(++last_generation_);
  record.etag = etag_text(++last_etag_);
  return {};
}

Result<void> Directory::add_policy(const std::string& name, const std::string& key) {
  if (name.empty() || key.empty() || !base64_decode(key)) {
    return fail(ErrorCode::invalid, "policy " + name + " needs a base64 key");
  }
  policies_[name] = Secret(key);
  return {};
}

bool Directory::remove_device(const std::string& id) {
  for (const auto& module : modules_of(id)) devices_.erase(module);
  return devices_.erase(id) != 0;
}

bool Directory::set_enabled(const std::string& id, bool enabled) {
  const auto found = devices_.find(id);
  if (found == devices_.end()) return false;
  found->second.enabled = enabled;
  found->second.etag = etag_text(++last_etag_);
  return true;
}

bool Directory::enabled(const std::string& id) const {
  const auto* record = find(id);
  if (record == nullptr || !record->enabled) return false;
  const auto slash = id.find('/');
  return slash == id.npos || enabled(id.substr(0, slash));
}

const DeviceRecord* Directory::find(const std::string& id) const {
  const auto found = devices_.find(id);
  return found == devices_.end() ? nullptr : &found->second;
}

std::vector<std::string> Directory::devices(std::size_t limit) const {
  std::vector<std::string> ids;
  for (const auto& [id, record] : devices_) {
    if (ids.size() == limit) break;
    if (id.find('/') == id.npos) ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> Directory::modules_of(const std::string& device) const {
  std::vector<std::string> ids;
  const auto prefix = device + "/";
  for (auto found = devices_.lower_bound(prefix); found != devices_.end() && found->first.starts_with(prefix);
       ++found) {
    ids.push_back(found->first);
  }
  return ids;
}

tl::expected<Grant, Refusal> Directory::check(std::string_view token, WallTime now) const {
  const auto fields = parse(token);
  if (!fields) return refuse(400, "Malformed SAS token");
  std::int64_t seconds = 0;
  const auto* end = fields->se.data() + fields->se.size();
  const auto number = std::from_chars(fields->se.data(), end, seconds);
  if (number.ec != std::errc() || number.ptr != end || seconds < 0 || seconds > 100'000'000'000) {
    return refuse(400, "Malformed expiry in SAS token");
  }
  const auto path = percent_decode(fields->sr);
  if (!path) return refuse(400, "Malformed resource in SAS token");
  const auto slash = std::min(path->find('/'), path->size());
  if (!same_text(without_port(std::string_view(*path).substr(0, slash)), host_)) {
    return refuse(401, "The SAS token is for another hub");
  }

  Grant grant;
  grant.path = path->substr(slash);
  while (grant.path.ends_with('/')) grant.path.pop_back();
  grant.expires = WallTime(std::chrono::seconds(seconds));
  if (fields->skn.empty()) {
    const auto id = device_of(grant.path);
    grant.identity = "device:" + id;
    if (id.empty()) return refuse(401, "The SAS token names neither device nor policy");
    const auto device = devices_.find(id);
    if (device == devices_.end()) return refuse(404, "Device not found");
    if (!signed_with(device->second.primary, *fields) && !signed_with(device->second.secondary, *fields)) {
      return refuse(401,
                    "The specified SAS token has an invalid signature. It does not match either the primary or "
                    "secondary key.");
    }
    if (!enabled(id)) return refuse(401, "Device is disabled");
    grant.device_connect = true;
  } else {
    grant.identity = "policy:" + fields->skn + ":" + grant.path;
    const auto policy = policies_.find(fields->skn);
    if (policy == policies_.end() || !signed_with(policy->second, *fields)) {
      return refuse(401, "The specified SAS token has an invalid signature. It does not match the policy's key.");
    }
    const auto may = permissions_of(fields->skn);
    grant.device_connect = may.device;
    grant.service_connect = may.service;
    grant.registry_read = may.registry_read;
    grant.registry_write = may.registry_write;
  }
  if (grant.expires <= now) return refuse(401, "The specified SAS token is expired");
  return grant;
}

tl::expected<Grant, Refusal> Directory::check_plain(std::string_view user, std::string_view password,
                                                    WallTime now) const {
  auto grant = check(password, now);
  if (!grant) return grant;
  const auto hub = host_.substr(0, host_.find('.'));
  const auto at = user.rfind('@');
  if (at == user.npos) return refuse(401, "Malformed user name");
  const auto name = user.substr(0, at);
  const auto realm = user.substr(at + 1);
  // A module logs in as "{device}/modules/{module}".
  const auto device = "device:" + device_of("/devices/" + std::string(name));
  if (same_text(realm, "sas." + hub) && grant->identity == device) return grant;
  const auto policy = "policy:" + std::string(name) + ":";
  if (same_text(realm, "sas.root." + hub) && grant->identity.starts_with(policy)) return grant;
  return refuse(401, "The user name is not the token's identity");
}

}  // namespace trunkline::hubsim
