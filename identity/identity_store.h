// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/core/device_id.h"

namespace trunkline::identity {

// What the gateway holds of one device: its keys at the hub (base64-decoded bytes) and its pre-shared key, if any.
struct Identity {
  DeviceId device;
  Secret primary;
  Secret secondary;  // may be empty
  Secret psk;        // may be empty
  bool enabled = true;
  WallTime updated{};
};

// How a device's keys fared at the hub; WallTime{}: never.
struct Usage {
  DeviceId device;
  WallTime used{};        // it took a token made with one of them
  WallTime refused{};     // it refused one
  std::string refusal{};  // in the hub's words
};

// The durable truth about identities. Called on the main thread or by the CLI; the running daemon reads a Directory
// instead. Every change is one transaction.
class IdentityStore {
 public:
  virtual ~IdentityStore() = default;
  virtual Result<void> add(const Identity& identity) = 0;  // exists: names the device
  // Adds or replaces, all or nothing. `progress` hears how many are written, now and then.
  virtual Result<void> put(const std::vector<Identity>& identities,
                           const std::function<void(std::size_t)>& progress = {}) = 0;
  virtual Result<void> remove(const DeviceId& device) = 0;
  virtual Result<void> set_enabled(const DeviceId& device, bool enabled) = 0;
  virtual Result<std::vector<Identity>> all() const = 0;  // ordered by id
  // What is known besides; a time that is not set leaves the one that was noted before.
  virtual Result<void> note(const std::vector<Usage>& usages) = 0;
  virtual Result<std::vector<Usage>> usage() const = 0;  // ordered by id
};

// Opens or creates the SQLite file with mode 0600. Keys are sealed with AES-256-GCM under the key in `key_file` (empty:
// "<file>.key"; made with mode 0600 when the store is created) or in systemd's credential "sealing-key", the device id
// as associated data. Fails without touching anything: a key that does not fit, a damaged or newer file, wrong
// permissions (world- or group-readable key).
Result<std::unique_ptr<IdentityStore>> open_store(const std::string& file, const std::string& key_file);

}  // namespace trunkline::identity
