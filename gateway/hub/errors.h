// SPDX-License-Identifier: Apache-2.0
#pragma once

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

// A put-token answer other than 2xx.
LinkFault token_fault(int status, std::string_view description);

// Sleeping longer than the usual back-off helps with these; nothing if not.
std::optional<Milliseconds> retry_hint(LinkFault::Kind kind);

}  // namespace trunkline::hub
