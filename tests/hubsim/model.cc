// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/model.h"

namespace trunkline::hubsim {

std::string_view kind_name(Address::Kind kind) {
  switch (kind) {
    case Address::Kind::telemetry:
      return "telemetry";
    case Address::Kind::commands:
      return "commands";
    case Address::Kind::twin:
      return "twin";
    case Address::Kind::methods:
      return "methods";
    case Address::Kind::cbs:
      return "cbs";
    case Address::Kind::service_commands:
      return "service_commands";
    case Address::Kind::service_feedback:
      return "service_feedback";
    case Address::Kind::unknown:
      break;
  }
  return "unknown";
}

Link** Device::newest(Address::Kind kind) {
  switch (kind) {
    case Address::Kind::commands:
      return &command_link;
    case Address::Kind::twin:
      return &twin_link;
    case Address::Kind::methods:
      return &method_link;
    default:
      return nullptr;
  }
}

}  // namespace trunkline::hubsim
