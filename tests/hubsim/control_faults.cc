// SPDX-License-Identifier: Apache-2.0
// The operations that make something go wrong.
#include "tests/hubsim/control_ops.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

std::vector<HubConnection*> chosen_connections(const Operation& op) {
  const auto wanted = op.request.number("connection", 0);
  std::vector<HubConnection*> chosen;
  for (const auto& [number, connection] : op.hub.connections()) {
    if (wanted == 0 || number == static_cast<std::uint64_t>(wanted)) chosen.push_back(connection.get());
  }
  return chosen;
}

void drop(const Operation& op) {
  const auto how = op.request.text("how", "close");
  const auto condition = op.request.condition("amqp:connection:forced", "The connection was closed by the hub");
  const auto chosen = chosen_connections(op);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (how != "close" && how != "tcp" && how != "rst") return op.failed("how is close, tcp or rst");
  for (auto* connection : chosen) {
    if (how == "close") {
      connection->close(condition);
    } else {
      connection->drop(how == "rst");
    }
  }
  op.done({{"dropped", chosen.size()}});
}

void listen(const Operation& op) {
  const auto mode = op.request.text("mode");
  Result<void> result;
  if (mode == "accept") {
    result = op.hub.set_listening(Hub::ListenMode::accept);
  } else if (mode == "refuse") {
    result = op.hub.set_listening(Hub::ListenMode::refuse);
  } else if (mode == "silent") {
    result = op.hub.set_listening(Hub::ListenMode::silent);
  } else {
    return op.failed("mode is accept, refuse or silent");
  }
  if (!result) return op.failed(result.error().message);
  op.done({});
}

void reading(const Operation& op) {
  const auto on = op.request.flag("on", true);
  const auto chosen = chosen_connections(op);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  for (auto* connection : chosen) connection->set_reading(on);
  op.done({{"connections", chosen.size()}});
}

// Applies to the device that is named, or to all of them.
Faults* faults_of(const Operation& op, std::vector<std::shared_ptr<Device>>& devices) {
  if (op.request.has("device")) {
    auto device = op.device();
    if (!device) return nullptr;
    devices.push_back(device);
    return &device->faults;
  }
  for (const auto& [id, device] : op.hub.devices()) devices.push_back(device);
  return &op.hub.all_devices();
}

void settle_if_free(Hub& hub, const std::vector<std::shared_ptr<Device>>& devices) {
  if (hub.all_devices().withhold) return;
  for (const auto& device : devices) {
    if (device->faults.withhold) continue;
    for (auto* link : device->links) link->connection->settle_held(*link);
  }
}

void withhold(const Operation& op) {
  std::vector<std::shared_ptr<Device>> devices;
  const auto on = op.request.flag("on", true);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->withhold = on;
  settle_if_free(op.hub, devices);
  op.done({});
}

void credit(const Operation& op) {
  std::vector<std::shared_ptr<Device>> devices;
  const auto zero = op.request.flag("zero", true);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->zero_credit = zero;
  for (const auto& device : devices) {
    for (auto* link : device->links) link->connection->refresh_credit(*link);
  }
  op.done({});
}

void refuse_messages(const Operation& op) {
  std::vector<std::shared_ptr<Device>> devices;
  const auto outcome = op.request.text("outcome", "rejected");
  const auto count = op.request.number("count", 1);
  const auto here = op.request.flag("undeliverable_here", false);
  const auto condition = op.request.condition("amqp:internal-error", "Refused by the test");
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (count < 0 || count > 1'000'000'000) return op.failed("count is out of range");
  Verdict verdict = Verdict::rejected;
  if (outcome == "released") {
    verdict = Verdict::released;
  } else if (outcome == "modified") {
    verdict = Verdict::modified;
  } else if (outcome != "rejected") {
    return op.failed("outcome is rejected, released or modified");
  }
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->refusals = static_cast<unsigned>(count);
  faults->refusal = verdict;
  faults->undeliverable_here = here;
  faults->condition = condition;
  op.done({});
}

std::vector<Link*> chosen_links(const Device& device, const std::string& name) {
  using Kind = Address::Kind;
  std::vector<Link*> chosen;
  for (auto* link : device.links) {
    const bool match = name.empty() || (name == "telemetry" && link->kind == Kind::telemetry) ||
                       (name == "commands" && link->kind == Kind::commands) ||
                       (name == "twin" && link->kind == Kind::twin) ||
                       (name == "methods" && link->kind == Kind::methods);
    if (match) chosen.push_back(link);
  }
  return chosen;
}

void detach(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const auto condition = op.request.condition("amqp:link:detach-forced", "Server Busy. Please retry operation");
  const auto links = chosen_links(*device, op.request.text("link"));
  if (!op.request.error().empty()) return op.failed(op.request.error());
  for (auto* link : links) link->connection->detach(*link, condition);
  op.done({{"detached", links.size()}});
}

void end_session(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const auto condition = op.request.condition("amqp:internal-error", "The session was ended by the test");
  if (!op.request.error().empty()) return op.failed(op.request.error());
  std::size_t ended = 0;
  for (; !device->links.empty(); ++ended) {
    device->links.front()->connection->end_session_of(*device->links.front(), condition);
  }
  op.done({{"ended", ended}});
}

void refuse_token(const Operation& op) {
  std::vector<std::shared_ptr<Device>> devices;
  const auto status = op.request.number("status", 401);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->token_status = static_cast<int>(status);
  op.done({});
}

void cbs(const Operation& op) {
  const auto mode = op.request.text("mode");
  const auto delay = op.request.number("delay_ms", 1000);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (mode == "normal") {
    op.hub.cbs_mode = Hub::CbsMode::normal;
  } else if (mode == "delay") {
    op.hub.cbs_mode = Hub::CbsMode::delay;
    op.hub.cbs_delay = Milliseconds(delay);
  } else if (mode == "never") {
    op.hub.cbs_mode = Hub::CbsMode::never;
  } else {
    return op.failed("mode is normal, delay or never");
  }
  op.done({});
}

void expire_tokens(const Operation& op) {
  const auto device = op.request.text("device");
  for (const auto& [number, connection] : op.hub.connections()) connection->expire_tokens(device);
  op.done({});
}

void reset_faults(const Operation& op) {
  op.hub.all_devices() = {};
  op.hub.cbs_mode = Hub::CbsMode::normal;
  std::vector<std::shared_ptr<Device>> devices;
  for (const auto& [id, device] : op.hub.devices()) {
    device->faults = {};
    devices.push_back(device);
    for (auto* link : device->links) link->connection->refresh_credit(*link);
  }
  settle_if_free(op.hub, devices);
  for (const auto& [number, connection] : op.hub.connections()) connection->set_reading(true);
  if (const auto listening = op.hub.set_listening(Hub::ListenMode::accept); !listening) {
    return op.failed(listening.error().message);
  }
  op.done({});
}

}  // namespace

const OperationTable& fault_operations() {
  static const OperationTable table{{"drop", drop},
                                    {"listen", listen},
                                    {"reading", reading},
                                    {"withhold", withhold},
                                    {"credit", credit},
                                    {"refuse_messages", refuse_messages},
                                    {"detach", detach},
                                    {"end_session", end_session},
                                    {"refuse_token", refuse_token},
                                    {"cbs", cbs},
                                    {"expire_tokens", expire_tokens},
                                    {"reset_faults", reset_faults}};
  return table;
}

}  // namespace trunkline::hubsim
