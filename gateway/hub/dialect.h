// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "gateway/core/device_id.h"
#include "gateway/core/uplink.h"

namespace trunkline::hub {

// Names of IoT Hub on messages (hub-amqp-protocol.md 5 and 6), each stated once.
inline constexpr const char* kSequenceNumber = "x-opt-sequence-number";
inline constexpr const char* kEnqueuedTime = "iothub-enqueuedtime";
inline constexpr const char* kDeliveryCount = "iothub-deliverycount";
inline constexpr std::string_view kCreationTime = "iothub-creation-time-utc";
inline constexpr std::string_view kReceivedTime = "received-time-utc";  // ours; beside the creation time of the device

// One of a device's links: a sender, a receiver or a pair of them on one node.
struct LinkShape {
  DeviceLink link = DeviceLink::telemetry;
  std::string_view node = {};  // "{device}" stands for the id, percent-encoded
  bool sends = false;
  bool receives = false;
  // What travels on it comes and goes settled, and whatever comes is credited by this window; 0: credit is granted.
  bool settled = false;
  int window = 0;
  // The pair is recognised by an attach property "<prefix><uuid>", the same on both; empty: it has none.
  std::string_view pair_prefix = {};
};

// How a hub wants to be spoken to over plain AMQP 1.0, as data: another hub is another table, not other code. Texts
// live as long as the process.
struct Dialect {
  enum class Sasl { none, anonymous };

  Sasl sasl = Sasl::anonymous;
  std::string_view token_node = {};  // where put-token goes; empty: the hub takes no tokens, devices need none
  std::string_view token_type = {};
  std::string_view audience = {};      // what a token is put for; "{host}" and "{device}", plain
  std::string_view module_part = "/";  // between a device and its module, in both
  // Attach properties with the client's version, the version of the hub's interface, and what makes a pair; empty:
  // none.
  std::string_view client_version_key = {};
  std::string_view api_version_key = {};
  std::string_view api_version = {};
  std::string_view pair_key = {};
  std::array<LinkShape, kDeviceLinks> links;  // by DeviceLink

  [[nodiscard]] const LinkShape& shape(DeviceLink link) const { return links[static_cast<std::size_t>(link)]; }
  // The node of a device's link. The id is percent-encoded, once, because the hub decodes addresses once and an id may
  // hold "%", "#" or "?" (gotcha 28).
  [[nodiscard]] std::string node_address(DeviceLink link, const DeviceId& device) const;
  [[nodiscard]] std::string audience_of(std::string_view host, const DeviceId& device) const;
};

const Dialect& iot_hub();

std::string client_version();

}  // namespace trunkline::hub
