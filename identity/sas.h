// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/secret.h"

namespace trunkline::identity {

// "SharedAccessSignature sr=…&sig=…&se=…[&skn=…]" (hub-amqp-protocol.md 2.1). `resource` is plain, such as
// "<host>/devices/<id>"; it is percent-encoded once here. `key` is the decoded key; `expires` is rounded down to
// seconds. Pure.
Secret sign_token(std::string_view resource, const Secret& key, WallTime expires, std::string_view policy = {});

// base64(HMAC-SHA256(key, encoded_resource + "\n" + expiry)), before url-encoding; for the published vectors.
std::string signature(std::string_view encoded_resource, const Secret& key, std::int64_t expiry_seconds);

}  // namespace trunkline::identity
