// SPDX-License-Identifier: Apache-2.0
// Twins and direct methods over HTTPS.
#include "tests/hubsim/hub_connection.h"
#include "tests/hubsim/rest_api.h"
#include "tests/hubsim/twin.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxPayload = 128 * 1024;
constexpr std::size_t kMaxMethodName = 100;
constexpr std::int64_t kMinTimeout = 5;
constexpr std::int64_t kMaxTimeout = 300;

json::object describe(Hub& hub, const Device& device) {
  const auto slash = device.id.find('/');
  const auto& twin = *device.twin;
  json::object out{{"deviceId", device.id.substr(0, slash)}};
  if (slash != device.id.npos) out["moduleId"] = device.id.substr(slash + 1);
  out["etag"] = twin.etag();
  out["deviceEtag"] = hub.directory().find(device.id)->etag;
  out["version"] = twin.version();
  out["status"] = hub.directory().enabled(device.id) ? "enabled" : "disabled";
  out["connectionState"] = device.links.empty() ? "Disconnected" : "Connected";
  out["cloudToDeviceMessageCount"] = device.queue.size();
  out["authenticationType"] = "sas";
  out["capabilities"] = json::object{{"iotEdge", false}};
  out["tags"] = twin.tags();
  out["properties"] = twin.service_view();
  return out;
}

void twin(const ApiCall& call, const std::string& id) {
  const auto device = call.device(id);
  if (!device) return;
  const auto& method = call.request.method;
  if (method == "PATCH" || method == "PUT") {
    if (!call.matches(device->twin->etag())) return;
    const auto body = call.body();
    if (!body) return;
    const auto changed =
        method == "PUT" ? device->twin->replace(*body, call.hub.wall()) : device->twin->patch(*body, call.hub.wall());
    if (!changed) {
      return call.refuse({changed.error().status, changed.error().code, kArgument, changed.error().text});
    }
    if (*changed) call.hub.desired_changed(*device, json::serialize(**changed));
  } else if (method != "GET") {
    return call.refuse({405, 400003, "InvalidOperation", "No such method here"});
  }
  call.done(describe(call.hub, *device), 200, device->twin->etag());
}

// Seconds of a member; nothing, and answered, if it is no number within the limits.
std::optional<Milliseconds> seconds(const ApiCall& call, const json::object& body, std::string_view name,
                                    std::int64_t otherwise, std::int64_t least) {
  const auto* value = body.if_contains(name);
  if (value == nullptr || value->is_null()) return std::chrono::seconds(otherwise);
  const auto* number = value->if_int64();
  if (number == nullptr || *number < least || *number > kMaxTimeout) {
    call.refuse(
        {400, 400004, kArgument,
         std::string(name) + " is a number from " + std::to_string(least) + " to " + std::to_string(kMaxTimeout)});
    return std::nullopt;
  }
  return std::chrono::seconds(*number);
}

void invoke(const ApiCall& call, const std::string& id) {
  const auto device = call.device(id);
  if (!device) return;
  const auto body = call.body();
  if (!body) return;
  const auto* name = body->if_contains("methodName");
  if (name == nullptr || !name->is_string() || name->get_string().empty() ||
      name->get_string().size() > kMaxMethodName) {
    return call.refuse({400, 400004, kArgument, "methodName is a text of 1 to 100 characters"});
  }
  const auto connect = seconds(call, *body, "connectTimeoutInSeconds", 0, 0);
  const auto response = connect ? seconds(call, *body, "responseTimeoutInSeconds", 30, kMinTimeout) : std::nullopt;
  if (!response) return;
  MethodCalls::Call method{std::string(name->get_string()), {}, *connect, *response};
  if (const auto* payload = body->if_contains("payload")) method.payload = json::serialize(*payload);
  if (method.payload.size() > kMaxPayload) {
    return call.refuse({413, 413001, "MessageTooLarge", "The payload is larger than 128 KB"});
  }
  call.hub.call_method(*device, std::move(method), [&hub = call.hub, reply = call.reply](const MethodAnswer& answer) {
    const HttpRequest none;
    const ApiCall later{hub, none, {}, {}, reply};
    if (answer.code != 0) return later.refuse_with_code(answer.http_status, answer.code, answer.text);
    later.done(json::object{{"status", answer.status},
                            {"payload", answer.payload.empty() ? json::value() : json::parse(answer.payload)}});
  });
}

}  // namespace

bool twins_api(const ApiCall& call) {
  const auto& path = call.path;
  const bool module = path.size() >= 4 && same_text(path[2], "modules");
  const auto length = module ? 4U : 2U;
  if (path.size() < 2) return false;
  const auto id = module ? path[1] + "/" + path[3] : path[1];
  if (path.size() == length) {
    twin(call, id);
  } else if (path.size() == length + 1 && same_text(path[length], "methods") && call.request.method == "POST") {
    invoke(call, id);
  } else {
    return false;
  }
  return true;
}

}  // namespace trunkline::hubsim
