// SPDX-License-Identifier: Apache-2.0
// The part of HubConnection that carries direct methods to a device and its answers back (section 8).
#include <proton/session.h>

#include "gateway/base/json.h"
#include "tests/hubsim/amqp_value.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxPayload = 128 * 1024;
constexpr std::size_t kUuid = 17;  // its constructor and 16 bytes

std::string encode(const MethodCalls::Request& request) {
  Message message;
  wire::put_uuid(message.correlation_id_raw, request.id);
  std::string out;
  append_properties(out, message);
  append_application_properties(out, {{"IoThub-methodname", request.method}});
  // The Data section is there even if it is empty: the C SDK wants one.
  append_data(out, request.payload);
  return out;
}

}  // namespace

void HubConnection::send_methods(Link& link) {
  auto& calls = link.device->calls;
  bool sent = false;
  while (link.device->method_link == &link && pn_link_credit(link.handle) > 0) {
    const auto request = calls.next(hub_.steady());
    if (!request) break;
    send_settled(link, encode(*request));
    ++link.device->methods_sent;
    sent = true;
  }
  if (!calls.has_waiting() && pn_link_get_drain(link.handle)) pn_link_drained(link.handle);
  if (sent) hub_.calls_changed(*link.device);
}

void HubConnection::on_method_answer(Link& link, pn_delivery_t* delivery, std::string_view payload) {
  amqp::accept(delivery);
  auto answer = decode_message(payload);
  // The correlation-id is a uuid, as it was in the request; in another type it is no answer to anything.
  if (!answer || answer->correlation_id_raw.size() != kUuid || answer->correlation_id_raw[0] != '\x98') {
    ++hub_.counters.method_answers_unmatched;
    return hub_.changed();
  }
  const auto id = answer->correlation_id_raw.substr(1);
  auto& calls = link.device->calls;
  const auto status = wire::as_int(raw_property(payload, "IoThub-status"));
  boost::system::error_code error;
  if (!answer->body.empty()) static_cast<void>(json::parse(answer->body, error));
  bool matched = false;
  if (!status) {
    matched = calls.spoil(id, "The device's answer has no IoThub-status of type int.");
  } else if (answer->body.size() > kMaxPayload) {
    matched = calls.spoil(id, "The device's answer is larger than 128 KB.");
  } else if (error) {
    matched = calls.spoil(id, "The device's answer is not JSON.");
  } else {
    matched = calls.answer(id, *status, std::move(answer->body));
  }
  if (!matched) ++hub_.counters.method_answers_unmatched;
  hub_.calls_changed(*link.device);
}

}  // namespace trunkline::hubsim
