// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace trunkline::hubsim {

// What a link address names. Ids come raw from some clients and percent-encoded from others, so both readings are kept
// and the directory decides: the raw one first.
struct Address {
  enum class Kind {
    unknown,
    cbs,
    telemetry,
    inputs,  // a module's receiver on its own telemetry address
    commands,
    twin,
    methods,
    service_commands,
    service_feedback,
    service_notifications,  // of file uploads: there are none, but the service SDK may listen
  };
  Kind kind = Kind::unknown;
  std::string device;          // as it stands in the address; of a module "device/module"
  std::string device_decoded;  // percent-decoded once, each part
  std::string module;          // empty: the device itself

  // "/devices/d/messages/events", the same without the first slash, or behind "amqps://host". Fixed segments match
  // without case. Pure.
  static Address parse(std::string_view text);
};

// "/devices/{d}" or "/devices/{d}/modules/{m}" of an id, which is "d" or "d/m".
std::string path_of(const std::string& id);

// Equal without regard to ASCII case.
bool same_text(std::string_view a, std::string_view b);

}  // namespace trunkline::hubsim
