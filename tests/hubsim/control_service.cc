// SPDX-License-Identifier: Apache-2.0
// The operations that do what the service side does: twins and direct methods.
#include "tests/hubsim/control_ops.h"
#include "tests/hubsim/hub_connection.h"
#include "tests/hubsim/twin.h"

namespace trunkline::hubsim {
namespace {

json::object view_of(const Device& device) {
  const auto& twin = *device.twin;
  return {{"device", device.id},
          {"tags", twin.tags()},
          {"desired", twin.desired()},
          {"desired_version", twin.desired_version()},
          {"reported", twin.reported()},
          {"reported_version", twin.reported_version()},
          {"etag", twin.etag()},
          {"subscribed", device.wants_desired},
          {"requests", device.twin_requests}};
}

// Reads, and changes what is given: "desired" and "tags", as a merge patch or, with "replace", whole.
void twin(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const bool replace = op.request.flag("replace", false);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  json::object body;
  if (const auto* tags = op.request.object().if_contains("tags")) body["tags"] = *tags;
  if (const auto* desired = op.request.object().if_contains("desired")) {
    body["properties"] = json::object{{"desired", *desired}};
  }
  if (!body.empty()) {
    const auto changed =
        replace ? device->twin->replace(body, op.hub.wall()) : device->twin->patch(body, op.hub.wall());
    if (!changed) return op.failed(std::to_string(changed.error().code) + " " + changed.error().text);
    if (*changed) op.hub.desired_changed(*device, json::serialize(**changed));
  }
  op.done(view_of(*device));
}

// Until the reported properties have this version, or the members that are given.
void wait_twin(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const auto version = op.request.number("reported_version", 0);
  const auto timeout = op.request.number("timeout_ms", 10'000);
  const bool listening = op.request.flag("subscribed", false);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  json::object wanted;
  if (const auto* reported = op.request.object().if_contains("reported")) {
    if (!reported->is_object()) return op.failed("reported must be an object");
    wanted = reported->get_object();
  }
  op.hub.wait(
      [device, version, wanted, listening, done = op.done] {
        const auto& twin = *device->twin;
        if (twin.reported_version() < version || (listening && !device->wants_desired)) return false;
        for (const auto& [name, value] : wanted) {
          const auto* has = twin.reported().if_contains(name);
          if (has == nullptr ? !value.is_null() : *has != value) return false;
        }
        done(view_of(*device));
        return true;
      },
      Milliseconds(timeout), [failed = op.failed] { failed("timed out"); });
}

void call_method(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  MethodCalls::Call call;
  call.method = op.request.text("method");
  call.connect_timeout = Milliseconds(op.request.number("connect_timeout_ms", 0));
  call.response_timeout = Milliseconds(op.request.number("response_timeout_ms", 30'000));
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (call.method.empty()) return op.failed("method is missing");
  if (const auto* payload = op.request.object().if_contains("payload")) call.payload = json::serialize(*payload);
  // Whatever it is: what a hub with a fault of its own would let through.
  if (const auto* bytes = op.request.object().if_contains("payload_text"); bytes != nullptr && bytes->is_string()) {
    call.payload = bytes->get_string();
  }
  op.hub.call_method(*device, std::move(call), [done = op.done](const MethodAnswer& answer) {
    json::object out{{"http_status", answer.http_status}, {"code", answer.code}};
    if (answer.code != 0) {
      out["message"] = answer.text;
    } else {
      out["status"] = answer.status;
      out["payload"] = answer.payload.empty() ? json::value() : json::parse(answer.payload);
    }
    done(std::move(out));
  });
}

}  // namespace

const OperationTable& service_operations() {
  static const OperationTable table{{"twin", twin}, {"wait_twin", wait_twin}, {"call_method", call_method}};
  return table;
}

}  // namespace trunkline::hubsim
