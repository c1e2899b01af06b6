// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/core/device_id.h"

namespace trunkline {

// A SAS token for one identity (hub-amqp-protocol.md 2).
struct Token {
  std::string audience;  // "<host>/devices/<id>", plain
  Secret text;           // "SharedAccessSignature sr=…"
  WallTime expires;
};

// Either of a device's two keys is good at the hub, so that one can be changed while the other works
// (hub-amqp-protocol.md 2.2).
enum class KeyChoice { primary, secondary };
constexpr std::string_view to_string(KeyChoice key) {
  return key == KeyChoice::primary ? "primary" : "secondary";
}

// Makes tokens. Owned by the composition root; called by the hub thread; pure computation on an in-memory directory, so
// it never blocks. not_found: the device has no identity in the store, or not that key; denied: it is disabled there.
class TokenProvider {
 public:
  virtual ~TokenProvider() = default;
  [[nodiscard]] virtual Result<Token> token(const DeviceId& device, KeyChoice key, WallTime now) const = 0;
};

}  // namespace trunkline
