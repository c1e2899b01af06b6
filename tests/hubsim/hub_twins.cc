// SPDX-License-Identifier: Apache-2.0
// The part of HubConnection that answers twin requests and tells devices of desired properties (section 7).
#include "gateway/base/crypto.h"
#include "tests/hubsim/amqp_value.h"
#include "tests/hubsim/hub_connection.h"
#include "tests/hubsim/twin.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxOutbox = 1'000;
constexpr std::string_view kReported = "/properties/reported";
constexpr std::string_view kNotifications = "/notifications/twin/properties/desired";

struct TwinAnswer {
  int status = 200;
  std::optional<std::int64_t> version;
  std::string body;
};

std::string encode(const std::string& correlation_id_raw, const TwinAnswer& answer) {
  std::string annotations;
  wire::put_symbol(annotations, "status");
  wire::put_int(annotations, answer.status);
  std::uint32_t count = 2;
  if (answer.version) {
    wire::put_symbol(annotations, "version");
    wire::put_long(annotations, *answer.version);
    count += 2;
  }
  std::string out;
  wire::put_descriptor(out, 0x72);
  wire::put_map(out, count, annotations);
  Message properties;
  properties.correlation_id_raw = correlation_id_raw;
  append_properties(out, properties);
  // Section 7.2: an answer without a body has no body section either.
  if (!answer.body.empty()) append_data(out, answer.body);
  return out;
}

TwinAnswer refused(const TwinRefusal& refusal, WallTime now) {
  return {refusal.status, std::nullopt, error_text(refusal.code, refusal.text, now)};
}

TwinAnswer patch_reported(Device& device, const Message& request, WallTime now) {
  boost::system::error_code error;
  const auto body = json::parse(request.body, error);
  if (error || !body.is_object()) return refused({400, 400006, "The patch is not a JSON object"}, now);
  std::optional<std::int64_t> expected;
  if (const auto* version = find_annotation(request, "version"); version != nullptr && !version->empty()) {
    expected = std::strtoll(version->c_str(), nullptr, 10);
  }
  const auto version = device.twin->patch_reported(body.get_object(), now, expected);
  if (!version) return refused(version.error(), now);
  return {204, *version, {}};
}

TwinAnswer answer_to(Device& device, const Message& request, WallTime now) {
  const auto text = [&request](std::string_view name) {
    const auto* found = find_annotation(request, name);
    return found == nullptr ? std::string() : *found;
  };
  const auto operation = text("operation");
  const auto resource = text("resource");
  if (operation == "GET" && resource.empty()) return {200, std::nullopt, json::serialize(device.twin->device_view())};
  if (operation == "PATCH" && resource == kReported) return patch_reported(device, request, now);
  if ((operation == "PUT" || operation == "DELETE") && resource == kNotifications) {
    device.wants_desired = operation == "PUT";
    return {};
  }
  return refused({400, 400003, "No such twin operation"}, now);
}

}  // namespace

void HubConnection::on_twin_request(Link& link, pn_delivery_t* delivery, std::string_view payload) {
  // .NET and Node send settled, C does not; both are right.
  amqp::accept(delivery);
  const auto request = decode_message(payload);
  if (!request || request->correlation_id_raw.empty()) {
    return detach(link, {"amqp:decode-error", "A twin request is a message with a correlation-id"});
  }
  ++link.device->twin_requests;
  answer_twin(*request, *link.device);
  hub_.changed();
}

void HubConnection::answer_twin(const Message& request, Device& device) {
  // The answer goes to the receive link that belongs to the requests; without one there is nobody to tell.
  if (device.twin_link == nullptr || device.twin_link->connection != this) return;
  for (auto* faults : {&device.faults, &hub_.all_devices()}) {
    if (faults->twin_refusals == 0) continue;
    --faults->twin_refusals;
    if (faults->twin_status == 0) return;
    return post(
        *device.twin_link,
        encode(request.correlation_id_raw,
               refused({faults->twin_status, faults->twin_status * 1000 + 1, "Refused by the test"}, hub_.wall())));
  }
  post(*device.twin_link, encode(request.correlation_id_raw, answer_to(device, request, hub_.wall())));
}

// Section 7.3: what tells a notification from an answer is that it has no correlation-id.
void HubConnection::send_desired(Link& link, const std::string& notification) {
  std::string out;
  append_data(out, notification);
  post(link, std::move(out));
}

// What a client without credit does not fetch is not kept for ever: notifications are not (section 7.3).
void HubConnection::post(Link& link, std::string payload) {
  if (link.outbox.size() >= kMaxOutbox) return;
  link.outbox.push_back(std::move(payload));
  serve(link);
}

void HubConnection::send_outbox(Link& link) {
  while (!link.outbox.empty() && pn_link_credit(link.handle) > 0) {
    send_settled(link, link.outbox.front());
    link.outbox.pop_front();
  }
  if (link.outbox.empty() && pn_link_get_drain(link.handle)) pn_link_drained(link.handle);
}

void HubConnection::send_settled(Link& link, const std::string& payload) {
  const auto tag = random_bytes(16);
  auto* delivery = pn_delivery(link.handle, pn_dtag(tag.data(), tag.size()));
  pn_link_send(link.handle, payload.data(), payload.size());
  pn_delivery_settle(delivery);
}

}  // namespace trunkline::hubsim
