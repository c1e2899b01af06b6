// SPDX-License-Identifier: Apache-2.0
// The device registry: devices and modules as the service sees and changes them.
#include <charconv>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "tests/hubsim/hub_connection.h"
#include "tests/hubsim/rest_api.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMostDevices = 1'000;
constexpr auto kLongAgo = "0001-01-01T00:00:00Z";

json::object describe(Hub& hub, const std::string& id) {
  const auto& record = *hub.directory().find(id);
  const auto device = hub.device(id);
  const auto slash = id.find('/');
  json::object out{{"deviceId", id.substr(0, slash)}};
  if (slash != id.npos) {
    out["moduleId"] = id.substr(slash + 1);
    out["managedBy"] = nullptr;
  } else {
    out["status"] = record.enabled ? "enabled" : "disabled";
    out["statusReason"] = nullptr;
    out["statusUpdatedTime"] = kLongAgo;
    out["capabilities"] = json::object{{"iotEdge", false}};
  }
  out["generationId"] = record.generation;
  out["etag"] = record.etag;
  out["connectionState"] = device->links.empty() ? "Disconnected" : "Connected";
  out["connectionStateUpdatedTime"] = kLongAgo;
  out["lastActivityTime"] = kLongAgo;
  out["cloudToDeviceMessageCount"] = device->queue.size();
  out["authentication"] =
      json::object{{"type", "sas"},
                   {"symmetricKey",
                    json::object{{"primaryKey", record.primary.reveal()}, {"secondaryKey", record.secondary.reveal()}}},
                   {"x509Thumbprint", json::object{{"primaryThumbprint", nullptr}, {"secondaryThumbprint", nullptr}}}};
  return out;
}

// A string within nested objects; empty if any of them is missing, null or something else.
std::string text_at(const json::object& body, std::initializer_list<std::string_view> path) {
  const json::object* object = &body;
  const json::value* value = nullptr;
  for (const auto name : path) {
    if (object == nullptr) return {};
    value = object->if_contains(name);
    object = value == nullptr ? nullptr : value->if_object();
  }
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

void put(const ApiCall& call, const std::string& id) {
  const auto body = call.body();
  if (!body) return;
  const auto slash = id.find('/');
  auto& directory = call.hub.directory();
  const auto* known = directory.find(id);
  if (text_at(*body, {"deviceId"}) != id.substr(0, slash) ||
      (slash != id.npos && text_at(*body, {"moduleId"}) != id.substr(slash + 1))) {
    return call.refuse({400, 400004, kArgument, "The body names another device than the path"});
  }
  if (call.request.if_match.empty()) {
    if (known != nullptr) {
      return slash == id.npos
                 ? call.refuse({409, 409001, "DeviceAlreadyExists", "A device of this id is registered"})
                 : call.refuse({409, 409301, "ModuleAlreadyExistsOnDevice", "The device has a module of this id"});
    }
    if (slash != id.npos && !call.device(id.substr(0, slash))) return;
  } else {
    if (known == nullptr) return static_cast<void>(call.device(id));
    if (!call.matches(known->etag)) return;
  }
  const auto key = [&body, known](std::string_view name, const Secret* so_far) {
    auto given = text_at(*body, {"authentication", "symmetricKey", name});
    if (given.empty() && known != nullptr) given = so_far->reveal();
    return given.empty() ? base64_encode(random_bytes(32)) : given;
  };
  const auto primary = key("primaryKey", known == nullptr ? nullptr : &known->primary);
  const auto secondary = key("secondaryKey", known == nullptr ? nullptr : &known->secondary);
  if (const auto added = directory.add_device(id, primary, secondary); !added) {
    return call.refuse({400, 400004, kArgument, added.error().message});
  }
  const auto device = call.hub.device(id);
  if (text_at(*body, {"status"}) == "disabled") {
    directory.set_enabled(id, false);
    for (auto* link : std::vector<Link*>(device->links)) {
      link->connection->detach(*link, {"amqp:not-found", "Device is disabled"});
    }
  }
  call.hub.changed();
  call.done(describe(call.hub, id), 200, directory.find(id)->etag);
}

void remove(const ApiCall& call, const std::string& id) {
  if (!call.device(id) || !call.matches(call.hub.directory().find(id)->etag)) return;
  call.hub.remove_device(id);
  call.done(nullptr, 204);
}

void list(const ApiCall& call) {
  auto limit = kMostDevices;
  if (const auto top = query_value(call.query, "top"); !top.empty()) {
    const auto* end = top.data() + top.size();
    const auto number = std::from_chars(top.data(), end, limit);
    if (number.ec != std::errc() || number.ptr != end || limit == 0 || limit > kMostDevices) {
      return call.refuse({400, 400004, kArgument, "top is a number from 1 to 1000"});
    }
  }
  json::array found;
  for (const auto& id : call.hub.directory().devices(limit)) found.push_back(describe(call.hub, id));
  call.done(found);
}

void one(const ApiCall& call, const std::string& id) {
  const auto& method = call.request.method;
  if (method == "PUT") return put(call, id);
  if (method == "DELETE") return remove(call, id);
  if (method != "GET") return call.refuse({405, 400003, "InvalidOperation", "No such method here"});
  if (!call.device(id)) return;
  call.done(describe(call.hub, id), 200, call.hub.directory().find(id)->etag);
}

void purge(const ApiCall& call, const std::string& id) {
  const auto device = call.device(id);
  if (!device) return;
  const auto count = device->queue.size();
  device->queue.purge();
  call.hub.queue_changed(*device);
  call.done(json::object{{"deviceId", id}, {"moduleId", nullptr}, {"totalMessagesPurged", count}});
}

}  // namespace

bool devices_api(const ApiCall& call) {
  const auto& path = call.path;
  const auto& method = call.request.method;
  if (path.size() == 1 && method == "GET") {
    list(call);
  } else if (path.size() == 2) {
    one(call, path[1]);
  } else if (path.size() == 3 && same_text(path[2], "commands") && method == "DELETE") {
    purge(call, path[1]);
  } else if (path.size() == 3 && same_text(path[2], "modules") && method == "GET") {
    if (!call.device(path[1])) return true;
    json::array found;
    for (const auto& id : call.hub.directory().modules_of(path[1])) found.push_back(describe(call.hub, id));
    call.done(found);
  } else if (path.size() == 4 && same_text(path[2], "modules")) {
    one(call, path[1] + "/" + path[3]);
  } else {
    return false;
  }
  return true;
}

}  // namespace trunkline::hubsim
