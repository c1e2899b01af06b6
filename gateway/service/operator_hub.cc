// SPDX-License-Identifier: Apache-2.0
#include "gateway/service/operator_hub.h"

#include <chrono>

#include "gateway/base/encoding.h"
#include "gateway/base/json.h"
#include "identity/sas.h"

namespace trunkline::service {
namespace {

constexpr std::string_view kVersion = "api-version=2021-04-12";
constexpr std::chrono::minutes kTokenLife{10};

std::string path_of(std::string_view kind, const DeviceId& device) {
  auto out = "/" + std::string(kind) + "/" + percent_encode(device.device());
  if (!device.module().empty()) out += "/modules/" + percent_encode(device.module());
  return out;
}

// The hub wraps the reason of an error into JSON, at times twice.
std::string reason_in(const std::string& body) {
  auto text = body;
  for (int depth = 0; depth < 2; ++depth) {
    boost::system::error_code failed;
    const auto value = json::parse(text, failed);
    if (failed || !value.is_object()) break;
    const auto& object = value.get_object();
    const auto* message = object.if_contains("Message");
    if (message == nullptr) message = object.if_contains("message");
    if (message == nullptr || !message->is_string()) break;
    text = std::string(message->get_string());
  }
  return text.substr(0, 300);
}

Error error_of(const HttpsAnswer& answer) {
  const auto code = answer.status == 401 || answer.status == 403   ? ErrorCode::denied
                    : answer.status == 404                         ? ErrorCode::not_found
                    : answer.status == 504                         ? ErrorCode::timed_out
                    : answer.status >= 500 || answer.status == 429 ? ErrorCode::unavailable
                                                                   : ErrorCode::invalid;
  return Error{code, "the hub answered " + std::to_string(answer.status) + ": " + reason_in(answer.body)};
}

// Everything under "authentication" that is a key.
void drop_keys(json::value& value) {
  if (auto* array = value.if_array()) {
    for (auto& item : *array) drop_keys(item);
  } else if (auto* object = value.if_object()) {
    object->erase("symmetricKey");
    for (auto& member : *object) drop_keys(member.value());
  }
}

}  // namespace

Secret OperatorHub::token() const {
  const auto expires = std::chrono::system_clock::now() + kTokenLife;
  return identity::sign_token(options_.account.host, options_.account.key,
                              std::chrono::time_point_cast<WallTime::duration>(expires), options_.account.policy);
}

hub::ServiceLink OperatorHub::link(Milliseconds limit) const {
  return hub::ServiceLink({options_.account.host, options_.amqp, options_.ca_file, token(), limit});
}

Result<std::string> OperatorHub::rest(std::string_view method, const std::string& path, const std::string& body,
                                      Milliseconds limit) {
  HttpsRequest request{.method = method, .target = path, .body = body, .authorization = token()};
  request.target += (path.find('?') == std::string::npos ? "?" : "&") + std::string(kVersion);
  request.any_etag = method == "PATCH";
  auto answer = https({options_.account.host, options_.https, options_.ca_file}, request, limit);
  if (!answer) return fail(answer.error());
  if (answer->status < 200 || answer->status > 299) return fail(error_of(*answer));
  return std::move(answer->body);
}

Result<std::string> OperatorHub::devices(unsigned most) {
  auto text = rest("GET", "/devices?top=" + std::to_string(most), {}, options_.limit);
  if (!text) return text;
  boost::system::error_code failed;
  auto value = json::parse(*text, failed);
  if (failed) return fail(ErrorCode::unavailable, "the hub's list is no JSON");
  drop_keys(value);
  return json::serialize(value);
}

Result<std::string> OperatorHub::twin(const DeviceId& device) {
  return rest("GET", path_of("twins", device), {}, options_.limit);
}

Result<std::string> OperatorHub::patch_twin(const DeviceId& device, const std::string& patch) {
  return rest("PATCH", path_of("twins", device), patch, options_.limit);
}

Result<MethodResponse> OperatorHub::call(const DeviceId& device, const MethodCall& call, Milliseconds wait) {
  boost::system::error_code failed;
  auto payload = json::parse(call.payload, failed);
  if (failed) return fail(ErrorCode::invalid, "the payload is not JSON");
  const json::object body{{"methodName", call.name},
                          {"payload", std::move(payload)},
                          {"responseTimeoutInSeconds", std::chrono::ceil<std::chrono::seconds>(wait).count()}};
  auto text = rest("POST", path_of("twins", device) + "/methods", json::serialize(body), wait + options_.limit);
  if (!text) return fail(text.error());
  const auto answer = json::parse(*text, failed);
  const auto* object = failed ? nullptr : answer.if_object();
  const auto* status = object == nullptr ? nullptr : object->if_contains("status");
  if (status == nullptr || !status->is_int64()) return fail(ErrorCode::unavailable, "the hub's answer has no status");
  const auto* said = object->if_contains("payload");
  return MethodResponse{static_cast<int>(status->get_int64()), said == nullptr ? "null" : json::serialize(*said)};
}

Result<void> OperatorHub::feedback(Milliseconds wait, const std::function<bool(const std::string&)>& take) {
  bool readable = true;
  const auto done = link(wait).feedback([&](const std::string& text) {
    boost::system::error_code failed;
    const auto records = json::parse(text, failed);
    readable = !failed && records.is_array();
    if (!readable) return false;
    bool more = true;
    for (const auto& record : records.get_array()) more = take(json::serialize(record)) && more;
    return more;
  });
  if (done && !readable) return fail(ErrorCode::unavailable, "the hub's feedback is no JSON");
  return done;
}

}  // namespace trunkline::service
