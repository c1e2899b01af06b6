// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/coap/request.h"
#include "gateway/base/result.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::coap {

// What a request is, by the device maps: whose, and for what. Pure and immutable. The path decides the device when it
// is unique; with `coap.address` the source address decides among the devices of one path (I-02).
class RequestMap {
 public:
  enum class Role { telemetry, command, result };
  struct Decision {
    std::optional<Code> refuse;  // else device and role are set
    std::size_t device = 0;
    Role role = Role::telemetry;
  };

  // `maps` all have coap; decisions name devices by their place in it. invalid: an address cannot be read, or two
  // devices cannot be told apart.
  static Result<RequestMap> make(const std::vector<DeviceMap>& maps);

  [[nodiscard]] Decision decide(const Request& request, const Address& source) const;

 private:
  struct Entry {
    std::size_t device;
    Role role;
    std::optional<Address> address;
  };
  Result<void> add(const std::string& path, Entry entry, const DeviceMap& map);

  std::unordered_map<std::string, std::vector<Entry>> by_path_;
};

}  // namespace trunkline::coap
