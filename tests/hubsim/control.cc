// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/control.h"

#include "tests/hubsim/control_ops.h"

namespace trunkline::hubsim {

std::shared_ptr<Device> Operation::device() const {
  const auto id = request.text("device");
  auto found = hub.device(id);
  if (!found) failed(id.empty() ? "device is missing" : "no device " + id);
  return found;
}

void control(Hub& hub, std::string_view text, const Reply& reply) {
  const auto failed = [reply](const std::string& why) {
    reply(json::serialize(json::object{{"ok", false}, {"error", why}}));
  };
  const auto done = [reply](json::object answer) {
    answer["ok"] = true;
    reply(json::serialize(answer));
  };
  boost::system::error_code error;
  const auto value = json::parse({text.data(), text.size()}, error);
  if (error) return failed("not JSON: " + error.message());
  if (!value.is_object()) return failed("a request is a JSON object");
  Request request(value.get_object());
  const auto name = request.text("op");
  for (const auto* table : {&inspect_operations(), &device_operations(), &fault_operations(), &network_operations(),
                            &service_operations()}) {
    const auto found = table->find(name);
    if (found != table->end()) return found->second({hub, request, done, failed});
  }
  failed("no such op: " + name);
}

}  // namespace trunkline::hubsim
