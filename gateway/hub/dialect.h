// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/core/device_id.h"
#include "gateway/core/uplink.h"

namespace trunkline::hub {

// The hub's names on the wire (hub-amqp-protocol.md 3 and 4), each stated once.
inline constexpr const char* kCbsAddress = "$cbs";
inline constexpr const char* kApiVersion = "2021-04-12";
inline constexpr const char* kClientVersionKey = "com.microsoft:client-version";
inline constexpr const char* kApiVersionKey = "com.microsoft:api-version";
inline constexpr const char* kTokenType = "servicebus.windows.net:sastoken";
inline constexpr const char* kSequenceNumber = "x-opt-sequence-number";
inline constexpr const char* kEnqueuedTime = "iothub-enqueuedtime";
inline constexpr const char* kDeliveryCount = "iothub-deliverycount";
inline constexpr std::string_view kCreationTime = "iothub-creation-time-utc";

std::string client_version();

// The node of a device's link. The id is percent-encoded, once, because the hub decodes addresses once and an id may
// hold "%", "#" or "?" (gotcha 28).
std::string node_address(DeviceLink link, const DeviceId& device);

}  // namespace trunkline::hub
