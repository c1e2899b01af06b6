// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/rest_api.h"

#include <algorithm>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "tests/hubsim/address.h"
#include "tests/hubsim/conditions.h"

namespace trunkline::hubsim {
namespace {

// "2021-04-12", with or without "-preview" behind it.
bool is_version(std::string_view text) {
  constexpr std::string_view form = "0000-00-00";
  if (text.size() < form.size()) return false;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == '0' ? !digit : text[i] != '-') return false;
  }
  return text.size() == form.size() || text.substr(form.size()) == "-preview";
}

std::optional<std::vector<std::string>> split(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    if (path.front() != '/') return std::nullopt;
    path.remove_prefix(1);
    const auto slash = std::min(path.find('/'), path.size());
    auto segment = percent_decode(path.substr(0, slash));
    // A decoded slash would name a module; ids never have one.
    if (!segment || segment->find('/') != segment->npos) return std::nullopt;
    if (slash != 0 || slash != path.size()) segments.push_back(std::move(*segment));
    path.remove_prefix(slash);
  }
  return segments;
}

std::string resource_of(const std::vector<std::string>& path) {
  std::string resource;
  for (const auto& segment : path) resource += "/" + segment;
  return resource;
}

bool permitted(const Grant& grant, const ApiCall& call) {
  if (!grant.identity.starts_with("policy:") || !grant.covers(resource_of(call.path))) return false;
  if (same_text(call.path[0], "twins")) return grant.service_connect;
  return call.request.method == "GET" ? grant.registry_read : grant.registry_write;
}

}  // namespace

void RestApi::handle(const HttpRequest& request, const HttpServer::Reply& reply) {
  const auto mark = std::min(request.target.find('?'), request.target.size());
  const auto path = split(std::string_view(request.target).substr(0, mark));
  const ApiCall call{hub_, request, path.value_or(std::vector<std::string>()),
                     mark < request.target.size() ? request.target.substr(mark + 1) : std::string(), reply};
  if (!path || path->empty()) return call.refuse({404, 404000, "ResourceNotFound", "No such resource"});
  const auto grant = hub_.directory().check(request.authorization, hub_.wall());
  if (!grant || !permitted(*grant, call)) {
    ++hub_.counters.authorisation_errors;
    return call.refuse({401, 401002, "IotHubUnauthorizedAccess", grant ? "Unauthorized" : grant.error().text});
  }
  if (!is_version(query_value(call.query, "api-version"))) {
    return call.refuse({400, 400001, "InvalidProtocolVersion", "api-version is missing or not a version"});
  }
  const bool known = same_text(path->front(), "devices") ? devices_api(call)
                     : same_text(path->front(), "twins") ? twins_api(call)
                                                         : false;
  if (!known) call.refuse({404, 404000, "ResourceNotFound", "No such resource"});
}

void ApiCall::done(const json::value& body, int status, const std::string& etag) const {
  HttpResponse response;
  response.status = status;
  if (!body.is_null()) response.body = json::serialize(body);
  if (!etag.empty()) response.headers.emplace_back("ETag", "\"" + etag + "\"");
  reply(std::move(response));
}

void ApiCall::refuse(const ApiError& error) const {
  const auto tracking = "Tracking ID:" + random_uuid() + "-TimeStamp:" + to_rfc3339(hub.wall());
  // The official SDKs read name and sentence out of Message; the code is in the header for whoever wants a number.
  const json::object body{{"Message", "ErrorCode:" + error.name + ";" + error.text}, {"ExceptionMessage", tracking}};
  HttpResponse response{error.status, json::serialize(body), {}};
  response.headers.emplace_back("iothub-errorcode", error.name);
  response.headers.emplace_back("iothub-errorcode-number", std::to_string(error.code));
  reply(std::move(response));
}

void ApiCall::refuse_with_code(int status, int code, const std::string& text) const {
  const json::object body{{"Message", error_text(code, text, hub.wall())}, {"ExceptionMessage", ""}};
  reply({status, json::serialize(body), {{"iothub-errorcode-number", std::to_string(code)}}});
}

std::optional<json::object> ApiCall::body() const {
  boost::system::error_code error;
  auto value = json::parse(request.body, error);
  if (!error && value.is_object()) return std::move(value.get_object());
  refuse({400, 400006, "IotHubFormatError", "The body is not a JSON object"});
  return std::nullopt;
}

std::shared_ptr<Device> ApiCall::device(const std::string& id) const {
  auto found = hub.device(id);
  if (found) return found;
  if (id.find('/') == id.npos || !hub.directory().knows(id.substr(0, id.find('/')))) {
    refuse({404, 404001, "DeviceNotFound", "No such device"});
  } else {
    refuse({404, 404010, "ModuleNotFound", "No such module"});
  }
  return nullptr;
}

bool ApiCall::matches(const std::string& etag) const {
  const auto& wanted = request.if_match;
  if (wanted.empty() || wanted == "*" || wanted == "\"*\"" || wanted == etag || wanted == "\"" + etag + "\"") {
    return true;
  }
  refuse({412, 412001, "PreconditionFailed", "If-Match is not the entity's ETag"});
  return false;
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto field = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = field.find('=');
    if (equals != field.npos && same_text(field.substr(0, equals), name)) return std::string(field.substr(equals + 1));
  }
  return {};
}

}  // namespace trunkline::hubsim
