// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/request_map.h"

namespace trunkline::coap {

namespace {

bool allowed(RequestMap::Role role, Method method) {
  using Role = RequestMap::Role;
  if (role == Role::command || role == Role::method || role == Role::desired) return method == Method::get;
  return method == Method::post || method == Method::put;
}

RequestMap::Decision refuse(Code code) {
  return {code, 0, RequestMap::Role::telemetry};
}

}  // namespace

Result<RequestMap> RequestMap::make(const std::vector<DeviceMap>& maps) {
  RequestMap out;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (!maps[i].coap) continue;
    const auto& coap = *maps[i].coap;
    std::optional<Address> address;
    if (coap.address) {
      address = parse_address(*coap.address);
      if (!address) {
        return fail(ErrorCode::invalid,
                    maps[i].id.text() + ": coap.address \"" + *coap.address + "\" is no IP address");
      }
    }
    if (coap.identity && !out.identities_.emplace(*coap.identity, i).second) {
      return fail(ErrorCode::invalid, maps[i].id.text() + ": another device has its coap.identity");
    }
    if (auto added = out.add(coap.telemetry, {i, Role::telemetry}, address, maps[i]); !added)
      return fail(added.error());
    const auto may_add = [&](const std::optional<std::string>& path, Role role) -> Result<void> {
      return path ? out.add(*path, {i, role}, address, maps[i]) : Result<void>();
    };
    // With push these are paths of the device's own server.
    const std::optional<std::string> none;
    for (const auto& [path, role] :
         {std::pair(&coap.command, Role::command), std::pair(&coap.result, Role::result),
          std::pair(coap.push ? &none : &coap.method, Role::method), std::pair(&coap.method_reply, Role::method_reply),
          std::pair(coap.push ? &none : &coap.desired, Role::desired), std::pair(&coap.reported, Role::reported)}) {
      if (auto added = may_add(*path, role); !added) return fail(added.error());
    }
  }
  return out;
}

Result<void> RequestMap::add(const std::string& path, Entry entry, const std::optional<Address>& address,
                             const DeviceMap& map) {
  auto& known = paths_[path];
  bool added = false;
  if (map.coap->identity) {
    added = known.by_device.emplace(entry.device, entry.role).second;
  } else if (address) {
    added = known.by_address.emplace(*address, entry).second;
  } else if (!known.any) {
    known.any = entry;
    added = true;
  }
  if (added) return {};
  return fail(ErrorCode::invalid,
              map.id.text() + ": the path " + path + " is used twice; tell the devices apart by coap.address");
}

RequestMap::Decision RequestMap::find(const Request& request, const Speaker& speaker) const {
  const auto found = paths_.find(request.path);
  if (found == paths_.end()) return refuse(Code::not_found);
  const auto& path = found->second;
  if (speaker.secure) {
    const auto device = device_of(speaker.identity);
    if (!device) return refuse(Code::unauthorised);
    const auto role = path.by_device.find(*device);
    // It is known who it is; this is another's.
    if (role == path.by_device.end()) return refuse(Code::forbidden);
    return {std::nullopt, *device, role->second};
  }
  const auto at = path.by_address.find(speaker.peer.address);
  if (at == path.by_address.end() && !path.any) return refuse(Code::unauthorised);
  const auto& entry = at == path.by_address.end() ? *path.any : at->second;
  return {std::nullopt, entry.device, entry.role};
}

RequestMap::Decision RequestMap::decide(const Request& request, const Speaker& speaker) const {
  auto out = find(request, speaker);
  if (out.refuse) return out;
  if (!allowed(out.role, request.method)) return refuse(Code::not_allowed);
  if (request.preconditions || request.bad_block) return refuse(Code::bad_option);
  return out;
}

std::optional<std::size_t> RequestMap::device_of(std::string_view identity) const {
  const auto found = identities_.find(std::string(identity));
  if (found == identities_.end()) return std::nullopt;
  return found->second;
}

}  // namespace trunkline::coap
