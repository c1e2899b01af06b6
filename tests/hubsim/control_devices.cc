// SPDX-License-Identifier: Apache-2.0
// The operations that change the directory and the queues.
#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "tests/hubsim/control_ops.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

void add_device(const Operation& op) {
  const auto id = op.request.text("device");
  auto key = op.request.text("key");
  const auto secondary = op.request.text("secondary_key");
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (key.empty()) key = base64_encode(random_bytes(32));
  const auto added = op.hub.directory().add_device(id, key, secondary);
  if (!added) return op.failed(added.error().message);
  static_cast<void>(op.hub.device(id));
  op.done({{"device", id}, {"key", key}});
}

void remove_device(const Operation& op) {
  const auto id = op.request.text("device");
  if (!op.hub.remove_device(id)) return op.failed("no device " + id);
  op.done({});
}

void detach_all(Hub& hub, const std::shared_ptr<Device>& device, const amqp::Condition& condition) {
  for (auto* link : std::vector<Link*>(device->links)) link->connection->detach(*link, condition);
  hub.changed();
}

void disable_device(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  op.hub.directory().set_enabled(device->id, false);
  detach_all(op.hub, device, {"amqp:not-found", "Device is disabled"});
  op.done({});
}

void enable_device(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  op.hub.directory().set_enabled(device->id, true);
  op.done({});
}

void enqueue(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  Message message;
  message.body = op.request.text("body");
  const auto encoded = op.request.text("body_base64");
  message.message_id = op.request.text("message_id");
  message.correlation_id = op.request.text("correlation_id");
  message.content_type = op.request.text("content_type");
  message.content_encoding = op.request.text("content_encoding");
  const auto ack = op.request.text("ack");
  const auto ttl = op.request.number("ttl_ms", 0);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (!encoded.empty()) {
    auto body = base64_decode(encoded);
    if (!body) return op.failed("body_base64: " + body.error().message);
    message.body = std::move(*body);
  }
  if (!ack.empty() && ack != "none" && ack != "positive" && ack != "negative" && ack != "full") {
    return op.failed("ack is none, positive, negative or full");
  }
  if (ttl > 0) message.absolute_expiry_time = (op.hub.wall() + Milliseconds(ttl)).time_since_epoch().count();
  if (const auto* properties = op.request.object().if_contains("properties")) {
    if (!properties->is_object()) return op.failed("properties must be an object");
    for (const auto& [name, value] : properties->get_object()) {
      if (!value.is_string()) return op.failed("the values of properties must be strings");
      message.properties.emplace_back(name, value.get_string());
    }
  }
  const auto sequence = op.hub.enqueue(*device, std::move(message), ack);
  if (!sequence) return op.failed(sequence.error().message);
  op.done({{"sequence", *sequence}});
}

void purge(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  device->queue.purge();
  op.hub.queue_changed(*device);
  op.done({});
}

void clear_arrivals(const Operation& op) {
  op.hub.log().clear();
  op.done({});
}

}  // namespace

const OperationTable& device_operations() {
  static const OperationTable table{{"add_device", add_device},
                                    {"remove_device", remove_device},
                                    {"disable_device", disable_device},
                                    {"enable_device", enable_device},
                                    {"enqueue", enqueue},
                                    {"purge", purge},
                                    {"clear_arrivals", clear_arrivals}};
  return table;
}

}  // namespace trunkline::hubsim
