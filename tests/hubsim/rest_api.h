// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/json.h"
#include "tests/hubsim/http_server.h"
#include "tests/hubsim/hub.h"

namespace trunkline::hubsim {

// The service side of the hub over HTTPS (hub-amqp-protocol section 8): registry, twins, direct methods. Checks the
// SAS token of a policy, its permission and its path, and api-version, before anything else. On the hub's thread; the
// hub outlives it.
class RestApi {
 public:
  explicit RestApi(Hub& hub) : hub_(hub) {}
  void handle(const HttpRequest& request, const HttpServer::Reply& reply);

 private:
  Hub& hub_;
};

// Why a request is refused: HTTP status, the hub's code for it and its name, a sentence.
struct ApiError {
  int status = 400;
  int code = 400004;
  std::string name;
  std::string text;
};

// A request taken apart, with what its operation works with.
struct ApiCall {
  Hub& hub;
  const HttpRequest& request;
  std::vector<std::string> path;  // its segments, percent-decoded
  std::string query;              // as it was sent
  const HttpServer::Reply& reply;

  void done(const json::value& body, int status = 200, const std::string& etag = {}) const;
  void refuse(const ApiError& error) const;
  // The hub's other way to say it, for what went wrong between it and the device: the code inside of the message.
  void refuse_with_code(int status, int code, const std::string& text) const;
  // The body as an object; answers the failure itself.
  [[nodiscard]] std::optional<json::object> body() const;
  // The device or module, of the segments of a path such as {d} or {d}/modules/{m}; answers the failure itself.
  [[nodiscard]] std::shared_ptr<Device> device(const std::string& id) const;
  // False, and answered, if the request has an If-Match that is neither "*" nor this.
  [[nodiscard]] bool matches(const std::string& etag) const;
};

inline const std::string kArgument = "ArgumentInvalid";

// The value of a query parameter as it was sent; empty if there is none.
std::string query_value(std::string_view query, std::string_view name);

// Below /devices and below /twins; false if the path names nothing there.
bool devices_api(const ApiCall& call);
bool twins_api(const ApiCall& call);

}  // namespace trunkline::hubsim
