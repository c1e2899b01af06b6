// SPDX-License-Identifier: Apache-2.0
#pragma once

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

// Makes tokens. Owned by the composition root; called by the hub thread; pure computation on an in-memory directory, so
// it never blocks. not_found: the device has no identity in the store; denied: it is disabled there.
class TokenProvider {
 public:
  virtual ~TokenProvider() = default;
  [[nodiscard]] virtual Result<Token> token(const DeviceId& device, WallTime now) const = 0;
};

}  // namespace trunkline
