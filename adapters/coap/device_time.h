// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "adapters/coap/request.h"
#include "gateway/base/clock.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::coap {

// When a device says that its message was; nothing if it does not say so, or has no clock. Pure.
std::optional<WallTime> device_time(const Request& request, const CoapTime& where);

// The option that tells a device without a clock what time it is: it asked by sending that option empty. Pure.
std::optional<std::pair<unsigned, std::uint64_t>> time_for(const Request& request, const CoapTime& where, WallTime now);

}  // namespace trunkline::coap
