// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/core/device_id.h"
#include "gateway/core/message.h"
#include "gateway/core/outcome.h"
#include "gateway/net/endpoint.h"

namespace trunkline::hub {

// The hub's service side over AMQP (hub-amqp-protocol.md 11.1), for one act of an operator: connects, puts the policy's
// token, does it, and closes. Runs its own loop on the caller's thread and returns within `limit`. Fails with denied
// when the hub refuses the token or its rights, else as connections fail.
class ServiceLink {
 public:
  struct Options {
    std::string host;       // open.hostname, certificate name, token audience
    net::Endpoint address;  // where to connect
    std::string ca_file;    // empty: the system's store
    Secret token;           // of a policy with the right to serve
    Milliseconds limit{30'000};
  };
  // A cloud-to-device message as a service sends it.
  struct Message {
    DeviceId device;
    std::string id;
    std::string body;
    std::string content_type{};
    std::string correlation_id{};
    std::string ack{};         // "none", "positive", "negative" or "full": what is told as feedback
    Milliseconds lifetime{0};  // 0: the hub's default
    std::vector<Property> properties{};
  };

  explicit ServiceLink(Options options) : options_(std::move(options)) {}

  // The hub's verdict: accepted means queued.
  Result<Outcome> send(const Message& message);

  // Passes on each feedback message (JSON text of records) until `take` says false or the limit passes. Each is
  // settled after it was taken.
  Result<void> feedback(const std::function<bool(const std::string&)>& take);

 private:
  Options options_;
};

}  // namespace trunkline::hub
