// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/dialect.h"

#include "gateway/base/encoding.h"

namespace trunkline::hub {

namespace {

// Requests on methods and twin links come settled, so credit is only a bound on what we take at a time.
constexpr int kRequestWindow = 10;

// hub-amqp-protocol.md 3 and 4.
constexpr Dialect kIotHub{
    .sasl = Dialect::Sasl::anonymous,
    .token_node = "$cbs",
    .token_type = "servicebus.windows.net:sastoken",
    .audience = "{host}/devices/{device}",
    .module_part = "/modules/",
    .client_version_key = "com.microsoft:client-version",
    .api_version_key = "com.microsoft:api-version",
    .api_version = "2021-04-12",
    .pair_key = "com.microsoft:channel-correlation-id",
    .links = {LinkShape{.link = DeviceLink::telemetry, .node = "/devices/{device}/messages/events", .sends = true},
              LinkShape{
                  .link = DeviceLink::commands, .node = "/devices/{device}/messages/devicebound", .receives = true},
              LinkShape{.link = DeviceLink::methods,
                        .node = "/devices/{device}/methods/devicebound",
                        .sends = true,
                        .receives = true,
                        .settled = true,
                        .window = kRequestWindow,
                        .pair_prefix = "methods:"},
              LinkShape{.link = DeviceLink::twin,
                        .node = "/devices/{device}/twin",
                        .sends = true,
                        .receives = true,
                        .settled = true,
                        .window = kRequestWindow,
                        .pair_prefix = "twin:"}},
};

std::string filled(std::string_view pattern, std::string_view name, std::string_view value) {
  std::string result;
  for (auto at = pattern.find(name); at != std::string_view::npos; at = pattern.find(name)) {
    result.append(pattern.substr(0, at)).append(value);
    pattern.remove_prefix(at + name.size());
  }
  return result.append(pattern);
}

}  // namespace

std::string Dialect::node_address(DeviceLink link, const DeviceId& device) const {
  auto id = percent_encode(device.device());
  if (!device.module().empty()) id.append(module_part).append(percent_encode(device.module()));
  return filled(shape(link).node, "{device}", id);
}

std::string Dialect::audience_of(std::string_view host, const DeviceId& device) const {
  std::string id(device.device());
  if (!device.module().empty()) id.append(module_part).append(device.module());
  return filled(filled(audience, "{host}", host), "{device}", id);
}

const Dialect& iot_hub() {
  return kIotHub;
}

std::string client_version() {
  return "trunkline/" TRUNKLINE_VERSION;
}

}  // namespace trunkline::hub
