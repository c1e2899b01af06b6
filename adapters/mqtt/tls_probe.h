// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "adapters/mqtt/paho_session.h"
#include "gateway/base/result.h"

namespace trunkline::mqtt {

// Makes one TLS handshake with the broker and hangs up, because Paho has no safe way to say why its own failed: an
// expired certificate, another authority, another host, or nobody there. Only where both checks are on; otherwise it
// says yes. Blocks for up to ten seconds, or until `abandoned` says so, which counts as yes. Called on the mqtt thread.
Result<void> probe_tls(const SessionOptions& options, const std::function<bool()>& abandoned);

}  // namespace trunkline::mqtt
