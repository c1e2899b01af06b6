// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/amqp/engine.h"
#include "gateway/core/uplink.h"

namespace trunkline::hub {

// What the hub's words mean for us: the one table of hub-amqp-protocol.md 9.2, refined by the numeric code and the text
// that the hub puts into descriptions. Pure.

// An error on a device's link or AMQP session, or on its request.
LinkFault device_fault(const amqp::Condition& condition);

// Why the connection, or what all devices share on it, ended.
LinkFault connection_fault(const amqp::Condition& condition);

// A put-token answer other than 2xx; `asked` is its own retry hint.
LinkFault token_fault(int status, std::string_view description, std::optional<Milliseconds> asked = {});

// What the hub's rejection of a message means for that message: what time alone will cure is no verdict on it. A
// throttle is released with the hub's patience, a hub in trouble counts as an attempt (modified), everything else stays
// rejected.
Outcome rejection(const amqp::Condition& condition);

// How long the hub asks to wait, if it does: "retry-after" and its other spellings, in seconds, at most an hour.
std::optional<Milliseconds> asked_to_wait(const std::map<std::string, std::string, std::less<>>& info);
bool is_retry_key(std::string_view key);

}  // namespace trunkline::hub
