// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/model.h"

#include "tests/hubsim/twin.h"

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
    case Address::Kind::service_notifications:
      return "service_notifications";
    case Address::Kind::inputs:
      return "inputs";
    case Address::Kind::unknown:
      break;
  }
  return "unknown";
}

Device::Device(std::string name, CommandQueue::Limits limits)
    : id(std::move(name)), queue(limits), twin(std::make_unique<Twin>()) {}

Device::~Device() = default;

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
