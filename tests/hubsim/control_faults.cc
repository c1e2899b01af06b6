// SPDX-License-Identifier: Apache-2.0
// The operations that make something go wrong with devices, their links and tokens.
#include "tests/hubsim/control_ops.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::int64_t kMaxCount = 1'000'000'000;

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
  if (count < 0 || count > kMaxCount) return op.failed("count is out of range");
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
  std::vector<Link*> chosen;
  for (auto* link : device.links) {
    if (name.empty() || name == kind_name(link->kind)) chosen.push_back(link);
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
  std::vector<std::shared_ptr<Device>> devices;
  const auto name = op.request.text("mode");
  const auto delay = op.request.number("delay_ms", 1000);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  static const std::map<std::string_view, CbsMode, std::less<>> modes{
      {"normal", CbsMode::normal}, {"delay", CbsMode::delay}, {"never", CbsMode::never}};
  const auto mode = modes.find(name);
  if (mode == modes.end()) return op.failed("mode is normal, delay or never");
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->cbs_mode = mode->second;
  faults->cbs_delay = Milliseconds(delay);
  op.done({});
}

void refuse_attach(const Operation& op) {
  std::vector<std::shared_ptr<Device>> devices;
  const auto link = op.request.text("link");
  const auto count = op.request.number("count", 1);
  const auto condition =
      op.request.condition("amqp:internal-error", error_text(500001, "Refused by the test", op.hub.wall()));
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (count < 0 || count > kMaxCount) return op.failed("count is out of range");
  if (!link.empty() && link != "telemetry" && link != "commands" && link != "twin" && link != "methods") {
    return op.failed("link is telemetry, commands, twin or methods");
  }
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->attach_refusals = static_cast<unsigned>(count);
  faults->attach_link = link;
  faults->attach_condition = condition;
  op.done({});
}

// 0: the requests are taken and never answered.
void refuse_twin(const Operation& op) {
  std::vector<std::shared_ptr<Device>> devices;
  const auto status = op.request.number("status", 500);
  const auto count = op.request.number("count", 1);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (count < 0 || count > kMaxCount || status < 0 || status > 599) return op.failed("count or status is out of range");
  auto* faults = faults_of(op, devices);
  if (faults == nullptr) return;
  faults->twin_refusals = static_cast<unsigned>(count);
  faults->twin_status = static_cast<int>(status);
  op.done({});
}

// Only what is named is changed; 0 is no limit.
void limits(const Operation& op) {
  auto& throttles = op.hub.throttles;
  const auto sends = op.request.number("sends_per_s", throttles.sends.per_second());
  const auto attaches = op.request.number("attaches_per_s", throttles.attaches.per_second());
  const auto tokens = op.request.number("tokens_per_s", throttles.tokens.per_second());
  const auto retry_after = op.request.number("retry_after_ms", throttles.retry_after.count());
  const auto max_tokens =
      op.request.number("max_tokens", static_cast<std::int64_t>(op.hub.limits().tokens_per_connection));
  const auto feedback = op.request.number("feedback_delay_ms", op.hub.limits().feedback_delay.count());
  if (!op.request.error().empty()) return op.failed(op.request.error());
  for (const auto value : {sends, attaches, tokens, retry_after, max_tokens, feedback}) {
    if (value < 0 || value > kMaxCount) return op.failed("a limit is out of range");
  }
  const auto now = op.hub.steady();
  if (op.request.has("sends_per_s")) throttles.sends.set(sends, now);
  if (op.request.has("attaches_per_s")) throttles.attaches.set(attaches, now);
  if (op.request.has("tokens_per_s")) throttles.tokens.set(tokens, now);
  throttles.retry_after = Milliseconds(retry_after);
  op.hub.set_tokens_per_connection(static_cast<std::size_t>(max_tokens));
  if (op.request.has("feedback_delay_ms")) op.hub.set_feedback_delay(Milliseconds(feedback));
  op.done({{"sends_per_s", sends},
           {"attaches_per_s", attaches},
           {"tokens_per_s", tokens},
           {"retry_after_ms", retry_after},
           {"max_tokens", max_tokens},
           {"feedback_delay_ms", feedback}});
}

void take_over(const Operation& op) {
  const auto as = op.request.text("as", "internal-error");
  if (!op.request.error().empty()) return op.failed(op.request.error());
  const auto text = default_take_over_condition().description;
  if (as == "internal-error") {
    op.hub.take_over_condition = default_take_over_condition();
  } else if (as == "not-allowed") {
    op.hub.take_over_condition = {"amqp:not-allowed", text};
  } else if (as == "link-creation-conflict") {
    op.hub.take_over_condition = {"com.microsoft:link-creation-conflict", error_text(409002, text, op.hub.wall())};
  } else {
    return op.failed("as is internal-error, not-allowed or link-creation-conflict");
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
  op.hub.redirect.reset();
  op.hub.take_over_condition = default_take_over_condition();
  const auto now = op.hub.steady();
  for (auto* rate : {&op.hub.throttles.sends, &op.hub.throttles.attaches, &op.hub.throttles.tokens}) rate->set(0, now);
  op.hub.throttles.retry_after = Milliseconds(0);
  std::vector<std::shared_ptr<Device>> devices;
  for (const auto& [id, device] : op.hub.devices()) {
    device->faults = {};
    devices.push_back(device);
    for (auto* link : device->links) link->connection->refresh_credit(*link);
  }
  settle_if_free(op.hub, devices);
  for (const auto& [number, connection] : op.hub.connections()) {
    connection->end_blackhole();
    connection->set_reading(true);
  }
  if (const auto listening = op.hub.set_listening(Hub::ListenMode::accept); !listening) {
    return op.failed(listening.error().message);
  }
  op.done({});
}

}  // namespace

const OperationTable& fault_operations() {
  static const OperationTable table{{"withhold", withhold},
                                    {"credit", credit},
                                    {"refuse_messages", refuse_messages},
                                    {"refuse_attach", refuse_attach},
                                    {"refuse_twin", refuse_twin},
                                    {"limits", limits},
                                    {"take_over", take_over},
                                    {"detach", detach},
                                    {"end_session", end_session},
                                    {"refuse_token", refuse_token},
                                    {"cbs", cbs},
                                    {"expire_tokens", expire_tokens},
                                    {"reset_faults", reset_faults}};
  return table;
}

}  // namespace trunkline::hubsim
