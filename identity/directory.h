// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/core/token.h"
#include "identity/identity_store.h"

namespace trunkline::identity {

// The in-memory view of the identity store that other threads read: an immutable snapshot, replaced as a whole by the
// main thread when identities change. Implements TokenProvider for the hub thread.
class Directory final : public TokenProvider {
 public:
  Directory(std::string hub_host, Milliseconds token_lifetime);

  // Main thread. The devices whose identity is another one now: new, gone, other keys, enabled or disabled.
  std::vector<DeviceId> replace(std::vector<Identity> identities);
  void set_token_lifetime(Milliseconds lifetime) { token_lifetime_ = lifetime; }  // of tokens from now on
  [[nodiscard]] Result<Token> token(const DeviceId& device, KeyChoice key, WallTime now) const override;
  // The device's pre-shared key. denied: disabled; not_found: it has none.
  [[nodiscard]] Result<Secret> psk(const DeviceId& device) const;
  [[nodiscard]] bool known(const DeviceId& device) const;
  [[nodiscard]] std::size_t size() const;

 private:
  using Snapshot = std::unordered_map<DeviceId, Identity>;
  std::string hub_host_;
  std::atomic<Milliseconds> token_lifetime_;
  std::atomic<std::shared_ptr<const Snapshot>> snapshot_;
};

}  // namespace trunkline::identity
