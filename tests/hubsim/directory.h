// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::hubsim {

// What a token, once checked, lets its bearer do: act as one device (device keys), or as a policy within a path.
struct Grant {
  std::string identity;  // what is counted and renewed: the path that the token names, and its policy
  std::string path;      // behind the host, decoded: "", "/devices", "/devices/d1", ...
  bool device_connect = false;
  bool service_connect = false;
  bool registry_read = false;
  bool registry_write = false;
  WallTime expires{};

  // "/a/b" covers "/a/b" and "/a/b/c" but not "/a/bc". Ids keep their case, the first segment does not.
  [[nodiscard]] bool covers(std::string_view resource) const;
};

// A token was refused: the status of the $cbs answer and its text.
struct Refusal {
  int status = 401;
  std::string text;
};

// A device of the registry, or a module, whose id is "device/module".
struct DeviceRecord {
  Secret primary;
  Secret secondary;
  bool enabled = true;
  std::string generation;  // another one when the id is registered anew
  std::string etag;
};

// The hub's keys and its rule of what a token proves (hub-amqp-protocol section 2): HMAC over the sr text exactly as it
// was sent, with the decoded key, then the path is decoded once and matched by segments. Pure; the caller gives the
// time. Written without a look at the gateway's signing, so that two equal mistakes cannot agree.
class Directory {
 public:
  explicit Directory(std::string host) : host_(std::move(host)) {}

  // Keys are base64. Adding a device again replaces its keys. A module needs its device.
  Result<void> add_device(const std::string& id, const std::string& primary, const std::string& secondary = {});
  Result<void> add_policy(const std::string& name, const std::string& key);
  // With its modules.
  bool remove_device(const std::string& id);
  bool set_enabled(const std::string& id, bool enabled);
  [[nodiscard]] bool knows(const std::string& id) const { return devices_.contains(id); }
  // A module only with its device.
  [[nodiscard]] bool enabled(const std::string& id) const;
  [[nodiscard]] const DeviceRecord* find(const std::string& id) const;
  // The ids of devices without their modules, at most so many, or of one device's modules.
  [[nodiscard]] std::vector<std::string> devices(std::size_t limit) const;
  [[nodiscard]] std::vector<std::string> modules_of(const std::string& device) const;
  [[nodiscard]] const std::string& host() const { return host_; }

  // A whole token, "SharedAccessSignature sr=...".
  [[nodiscard]] tl::expected<Grant, Refusal> check(std::string_view token, WallTime now) const;
  // SASL PLAIN: "{device}@sas.{hub}" or "{policy}@sas.root.{hub}", the password being a token of that very identity.
  [[nodiscard]] tl::expected<Grant, Refusal> check_plain(std::string_view user, std::string_view password,
                                                         WallTime now) const;

 private:
  std::string host_;
  std::map<std::string, DeviceRecord> devices_;
  std::uint64_t last_etag_ = 0;
  std::uint64_t last_generation_ = 637'000'000'000'000'000;  // the hub's are of this size
  std::map<std::string, Secret, std::less<>> policies_;
};

}  // namespace trunkline::hubsim
