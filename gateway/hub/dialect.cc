// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/dialect.h"

#include "gateway/base/encoding.h"

namespace trunkline::hub {

namespace {

struct AddressTemplate {
  DeviceLink link;
  std::string_view before_id;
  std::string_view after_id;
};

// hub-amqp-protocol.md 4.1.
constexpr AddressTemplate kAddresses[] = {
    {DeviceLink::telemetry, "/devices/", "/messages/events"},
    {DeviceLink::commands, "/devices/", "/messages/devicebound"},
};

}  // namespace

std::string client_version() {
  return "trunkline/" TRUNKLINE_VERSION;
}

std::string node_address(DeviceLink link, const DeviceId& device) {
  const auto& parts = kAddresses[static_cast<std::size_t>(link)];
  return std::string(parts.before_id) + percent_encode(device.text()) + std::string(parts.after_id);
}

static_assert(kAddresses[static_cast<std::size_t>(DeviceLink::telemetry)].link == DeviceLink::telemetry &&
              kAddresses[static_cast<std::size_t>(DeviceLink::commands)].link == DeviceLink::commands);

}  // namespace trunkline::hub
