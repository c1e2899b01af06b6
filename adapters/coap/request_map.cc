// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/request_map.h"

namespace trunkline::coap {

namespace {

bool allowed(RequestMap::Role role, Method method) {
  if (role == RequestMap::Role::command) return method == Method::get;
  return method == Method::post || method == Method::put;
}

}  // namespace

Result<RequestMap> RequestMap::make(const std::vector<DeviceMap>& maps) {
  RequestMap out;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const auto& coap = *maps[i].coap;
    std::optional<Address> address;
    if (coap.address) {
      address = parse_address(*coap.address);
      if (!address) {
        return fail(ErrorCode::invalid,
                    maps[i].id.text() + ": coap.address \"" + *coap.address + "\" is no IP address");
      }
    }
    if (auto added = out.add(coap.telemetry, {i, Role::telemetry, address}, maps[i]); !added)
      return fail(added.error());
    if (coap.command) {
      if (auto added = out.add(*coap.command, {i, Role::command, address}, maps[i]); !added) return fail(added.error());
    }
    if (coap.result) {
      if (auto added = out.add(*coap.result, {i, Role::result, address}, maps[i]); !added) return fail(added.error());
    }
  }
  return out;
}

Result<void> RequestMap::add(const std::string& path, Entry entry, const DeviceMap& map) {
  auto& entries = by_path_[path];
  for (const auto& other : entries) {
    if (other.address == entry.address) {
      return fail(ErrorCode::invalid,
                  map.id.text() + ": the path " + path + " is used twice; tell the devices apart by coap.address");
    }
  }
  entries.push_back(entry);
  return {};
}

RequestMap::Decision RequestMap::decide(const Request& request, const Address& source) const {
  const auto refuse = [](Code code) { return Decision{code, 0, Role::telemetry}; };
  const auto found = by_path_.find(request.path);
  if (found == by_path_.end()) return refuse(Code::not_found);
  const Entry* chosen = nullptr;
  for (const auto& entry : found->second) {
    if (entry.address == source) {
      chosen = &entry;
      break;
    }
    if (!entry.address) chosen = &entry;
  }
  if (chosen == nullptr) return refuse(Code::unauthorised);
  if (!allowed(chosen->role, request.method)) return refuse(Code::not_allowed);
  if (request.preconditions) return refuse(Code::bad_option);
  // Bodies of more than one datagram are not supported yet; the device sees that before it sends the rest.
  if (request.block_wise) return refuse(chosen->role == Role::command ? Code::bad_option : Code::too_large);
  return {std::nullopt, chosen->device, chosen->role};
}

}  // namespace trunkline::coap
