// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/core/device_id.h"
#include "gateway/core/method.h"
#include "gateway/core/outcome.h"
#include "gateway/hub/service_link.h"
#include "gateway/service/connection_string.h"
#include "gateway/service/https_client.h"

namespace trunkline::service {

// The hub as an operator sees it, a real one or the simulator: messages and feedback over AMQP, devices, methods and
// twins over HTTPS. Each call makes its own connection and token, on the caller's thread. Fails with denied when the
// policy has not the right, not_found for what the hub does not know, invalid for what it refuses as wrong.
class OperatorHub {
 public:
  struct Options {
    ConnectionString account;
    net::Endpoint amqp;   // where to connect
    net::Endpoint https;  // likewise
    std::string ca_file;  // empty: the system's store
    Milliseconds limit{30'000};
  };
  explicit OperatorHub(Options options) : options_(std::move(options)) {}

  // JSON text as the hub has it, without keys: those are not for a terminal (S-01).
  Result<std::string> devices(unsigned most);
  Result<std::string> twin(const DeviceId& device);
  // `patch` is {"properties":{"desired":{…}},"tags":{…}} or a part of it; the twin as it is then.
  Result<std::string> patch_twin(const DeviceId& device, const std::string& patch);
  Result<MethodResponse> call(const DeviceId& device, const MethodCall& call, Milliseconds wait);

  Result<Outcome> send(const hub::ServiceLink::Message& message) { return link(options_.limit).send(message); }
  // Each record as JSON text, until `take` says false or `wait` passes.
  Result<void> feedback(Milliseconds wait, const std::function<bool(const std::string&)>& take);

 private:
  [[nodiscard]] Secret token() const;
  [[nodiscard]] hub::ServiceLink link(Milliseconds limit) const;
  Result<std::string> rest(std::string_view method, const std::string& path, const std::string& body,
                           Milliseconds limit);

  Options options_;
};

}  // namespace trunkline::service
