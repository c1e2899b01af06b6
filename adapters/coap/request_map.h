// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/coap/request.h"
#include "gateway/base/result.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::coap {

// What a request is, by the device maps: whose, and for what. Pure and immutable (I-02). A device with coap.identity is
// heard over DTLS only, and that identity decides. On the plain listener the path decides when it is unique, and the
// source address among the devices of one path that have coap.address.
class RequestMap {
 public:
  enum class Role { telemetry, command, result, method, method_reply, desired, reported };
  struct Decision {
    std::optional<Code> refuse;  // else device and role are set
    std::size_t device = 0;
    Role role = Role::telemetry;
  };

  // Decisions name devices by their place in `maps`; those without coap are nobody. invalid: an address cannot be read,
  // or two devices cannot be told apart.
  static Result<RequestMap> make(const std::vector<DeviceMap>& maps);

  [[nodiscard]] Decision decide(const Request& request, const Speaker& speaker) const;

  // The device that a PSK identity or certificate name stands for.
  [[nodiscard]] std::optional<std::size_t> device_of(std::string_view identity) const;

 private:
  struct Entry {
    std::size_t device;
    Role role;
  };
  struct Path {
    std::optional<Entry> any;
    std::map<Address, Entry> by_address;
    std::unordered_map<std::size_t, Role> by_device;  // of those that DTLS tells apart
  };
  Result<void> add(const std::string& path, Entry entry, const std::optional<Address>& address, const DeviceMap& map);
  [[nodiscard]] Decision find(const Request& request, const Speaker& speaker) const;

  std::unordered_map<std::string, Path> paths_;
  std::unordered_map<std::string, std::size_t> identities_;
};

}  // namespace trunkline::coap
