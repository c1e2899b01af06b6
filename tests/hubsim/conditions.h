// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "gateway/amqp/engine.h"
#include "gateway/base/clock.h"

namespace trunkline::hubsim {

// The info map of an error condition: symbols to strings and ints.
using ConditionInfo = std::vector<std::pair<std::string, std::variant<std::string, std::int32_t>>>;

// After the condition itself was written, which clears it. The gateway's own writer knows strings only; a port is an
// int.
void write_info(pn_condition_t* condition, const ConditionInfo& info);

// The text that the hub writes into descriptions and HTTP bodies (section 9.1): JSON with errorCode, trackingId,
// message and timestampUtc.
std::string error_text(int code, std::string_view message, WallTime now);

amqp::Condition throttled_condition(WallTime now);
// "retry-after" in seconds, rounded up, and "retry-after-ms"; nothing for 0.
ConditionInfo retry_info(Milliseconds retry_after);

// Settles it as rejected, with the condition and its info.
void reject(pn_delivery_t* delivery, const amqp::Condition& why, const ConditionInfo& info);

}  // namespace trunkline::hubsim
