// SPDX-License-Identifier: Apache-2.0
#include "gateway/core/uplink.h"

namespace trunkline {

std::string_view to_string(DeviceLink link) {
  switch (link) {
    case DeviceLink::telemetry:
      return "telemetry";
    case DeviceLink::commands:
      return "commands";
    case DeviceLink::methods:
      return "methods";
    case DeviceLink::twin:
      return "twin";
  }
  return "telemetry";
}

std::string_view to_string(LinkFault::Kind kind) {
  switch (kind) {
    case LinkFault::Kind::transport:
      return "transport";
    case LinkFault::Kind::unauthorised:
      return "unauthorised";
    case LinkFault::Kind::not_found:
      return "not_found";
    case LinkFault::Kind::throttled:
      return "throttled";
    case LinkFault::Kind::taken_over:
      return "taken_over";
    case LinkFault::Kind::oversize:
      return "oversize";
    case LinkFault::Kind::protocol:
      return "protocol";
    case LinkFault::Kind::busy:
      return "busy";
    case LinkFault::Kind::timeout:
      return "timeout";
    case LinkFault::Kind::full:
      return "full";
    case LinkFault::Kind::redirect:
      return "redirect";
    case LinkFault::Kind::stopped:
      return "stopped";
  }
  return "transport";
}

std::string LinkFault::text() const {
  std::string out(to_string(kind));
  if (!condition.empty()) out += " " + condition;
  if (!description.empty()) out += ": " + description;
  return out;
}

}  // namespace trunkline
